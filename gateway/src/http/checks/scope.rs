//! A credential's scope: `key/date/region/service/aws4_request`.

/// The parts of a credential.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scope<'a> {
    /// `yyyymmdd`.
    pub(super) date: &'a str,
    /// The region it was signed for.
    pub(super) region: &'a str,
}

/// Reads a credential for the service `s3`, or says what is wrong with it.
pub(super) fn parse(credential: &str) -> Result<Scope<'_>, &'static str> {
    let fields: Vec<_> = credential.split('/').collect();
    let [key, date, region, service, terminal] = fields[..] else {
        return Err("the Credential is mal-formed; expecting \
             \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".");
    };
    if key.is_empty() {
        return Err("the access key id is empty.");
    }
    if date.len() != 8 || !date.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("incorrect date format in the Credential; expecting yyyymmdd.");
    }
    if service != "s3" {
        return Err("incorrect service in the Credential. This endpoint belongs to \"s3\".");
    }
    if terminal != "aws4_request" {
        return Err("incorrect terminal in the Credential. It must be \"aws4_request\".");
    }
    Ok(Scope { date, region })
}
