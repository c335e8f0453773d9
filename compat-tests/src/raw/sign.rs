//! Signature Version 4 by the `aws-sigv4` crate: in the header, in the query, and over frames.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Payload, Request, Wire};

/// What Amazon leaves unescaped in a query value.
const QUERY_VALUE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Who signs, and as of when.
#[derive(Debug, Clone)]
pub struct Signer {
    /// The access key.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// A session token, sent along when there is one.
    pub session_token: Option<String>,
    /// The region of the credential scope.
    pub region: String,
    /// The service of the credential scope.
    pub service: String,
    /// The signing time; now when none.
    pub time: Option<SystemTime>,
}

impl Signer {
    /// Signs for S3 in `us-east-1`, now.
    pub fn new(access_key: &str, secret_key: &str) -> Self {
        Self {
            access_key: access_key.into(),
            secret_key: secret_key.into(),
            session_token: None,
            region: "us-east-1".into(),
            service: "s3".into(),
            time: None,
        }
    }

    /// The same signer at another time: `at(|now| now - Duration::from_secs(3600))`.
    #[must_use]
    pub fn at(mut self, change: impl Fn(SystemTime) -> SystemTime) -> Self {
        self.time = Some(change(self.time()));
        self
    }

    /// The same signer for another region.
    #[must_use]
    pub fn region(mut self, region: &str) -> Self {
        self.region = region.into();
        self
    }

    fn time(&self) -> SystemTime {
        self.time.unwrap_or_else(SystemTime::now)
    }

    fn params<'a>(
        &'a self,
        identity: &'a Identity,
        time: SystemTime,
        settings: SigningSettings,
    ) -> SigningParams<'a, SigningSettings> {
        SigningParams::builder()
            .identity(identity)
            .region(&self.region)
            .name(&self.service)
            .time(time)
            .settings(settings)
            .build()
            .expect("complete signing parameters")
    }

    fn credentials(&self) -> Credentials {
        let (access_key, secret_key) = (self.access_key.clone(), self.secret_key.clone());
        Credentials::new(access_key, secret_key, self.session_token.clone(), None, "compat-tests")
    }
}

impl Request {
    /// Signs in the `Authorization` header.
    ///
    /// # Panics
    /// When target or headers can't be signed at all; tamper with the [`Wire`] instead.
    pub fn sign(&self, signer: &Signer, host: &str) -> Wire {
        let (mut headers, body) = self.prepared(host);
        let identity = signer.credentials().into();
        let time = signer.time();
        let params = signer.params(&identity, time, settings());
        let covered = headers.clone();
        let request = self.signable(&covered, self.signable_body(&body));
        let (instructions, signature) =
            sign(request, &params.into()).expect("a signable request").into_parts();
        headers.extend(instructions.headers().map(|(name, value)| (name.into(), value.into())));
        let body = match &self.payload {
            Payload::Framed(frames) => {
                let params = signer.params(&identity, time, settings());
                frames.encode(&body, &signature, &params)
            }
            _ => body,
        };
        self.wire(&self.target, headers, body)
    }

    /// Signs in the query: a presigned URL. The body is not covered.
    ///
    /// # Panics
    /// When target or headers can't be signed at all; tamper with the [`Wire`] instead.
    pub fn presign(&self, signer: &Signer, host: &str, expires: Duration) -> Wire {
        let (headers, body) = self.prepared(host);
        let mut settings = settings();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        settings.expires_in = Some(expires);
        let identity = signer.credentials().into();
        let params = signer.params(&identity, signer.time(), settings).into();
        let covered = headers.clone();
        let request = self.signable(&covered, SignableBody::UnsignedPayload);
        let (instructions, _) = sign(request, &params).expect("a signable request").into_parts();
        let mut target = self.target.clone();
        for (name, value) in instructions.params() {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.extend([name, "="]);
            target.extend(utf8_percent_encode(value, QUERY_VALUE));
        }
        self.wire(&target, headers, body)
    }

    fn signable<'a>(
        &'a self,
        headers: &'a [(String, String)],
        body: SignableBody<'a>,
    ) -> SignableRequest<'a> {
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        SignableRequest::new(&self.method, &self.target, headers, body).expect("a valid target")
    }

    fn signable_body<'a>(&self, body: &'a [u8]) -> SignableBody<'a> {
        match &self.payload {
            Payload::Signed => SignableBody::Bytes(body),
            Payload::Unsigned => SignableBody::UnsignedPayload,
            Payload::Claimed(claim) => SignableBody::Precomputed(claim.clone()),
            Payload::Framed(frames) => SignableBody::Precomputed(frames.mode().into()),
        }
    }
}

fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings
}
