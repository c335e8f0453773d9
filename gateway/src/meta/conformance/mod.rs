//! What the rows promise, run on PostgreSQL and on the model: whoever implements the interface
//! passes all of it. A case is an `async fn` over the interface, named for what it shows.

mod bucket;
mod checks;
mod delete;
pub(super) mod fixture;
mod list;
mod object;
mod random;
mod tags;
mod upload;
mod versions;

use super::model::Model;
use super::testing::fresh_database;

/// Makes two tests of each case.
macro_rules! cases {
    ($($module:ident: $($case:ident),+;)+) => {
        mod on_model {
            $(mod $module {
                $(#[tokio::test]
                async fn $case() {
                    super::super::$module::$case(&super::super::Model::new()).await;
                })+
            })+
        }
        mod on_postgres {
            $(mod $module {
                $(#[tokio::test]
                async fn $case() {
                    let database = super::super::fresh_database().await;
                    super::super::$module::$case(&database.pg).await;
                })+
            })+
        }
    };
}

cases! {
    bucket:
        creates_and_finds, names_the_owner_of_a_taken_name, lists_by_name_in_pages,
        deletes_only_without_versions, gives_uploads_up_with_the_bucket,
        refuses_writes_decided_by_an_old_configuration;
    object:
        stores_and_finds_everything, tells_a_missing_key_from_a_missing_bucket,
        keeps_an_empty_object_without_a_body, frees_what_is_overwritten,
        shares_a_body_until_the_last_reference, shares_a_body_with_its_own_key,
        refuses_a_freed_body, pages_through_extents,
        stores_once_if_none_match, stores_only_over_the_matching_etag,
        refuses_a_write_without_its_lease, lets_last_modified_grow;
    delete:
        removes_the_only_version, says_absent, deletes_only_the_matching_etag,
        deletes_only_the_matching_size_and_time, compares_with_the_current_version,
        adds_a_marker_when_versions_are_kept, replaces_the_null_version_when_suspended,
        promotes_the_version_below, removes_a_version_below_the_current_one;
    versions:
        keeps_what_it_overwrites, keeps_one_null_version, keeps_the_null_version_under_new_ones;
    list:
        lists_in_byte_order, rolls_up_common_prefixes, continues_behind_any_point,
        hides_markers, lists_versions_newest_first, continues_within_a_key,
        continues_after_the_last_one_shown_is_deleted, leaves_headers_and_parts_out,
        takes_delimiters_of_any_length;
    upload:
        joins_the_parts, answers_the_same_list_the_same, replaces_a_part,
        frees_parts_that_are_not_listed, refuses_a_list_that_is_not_stored,
        checks_the_condition, gives_up_and_frees, completes_an_empty_object,
        f35_expires_only_idle_ones, lists_uploads_in_pages, lists_parts_in_pages,
        belongs_to_one_key;
    tags:
        come_with_a_version_and_stay_with_it, are_set_on_one_version,
        are_not_set_on_what_is_not_there, come_from_the_start_of_an_upload, are_kept_by_a_bucket;
    checks:
        does_one_after_the_other, keeps_a_bounded_number, walks_by_extent, keeps_findings,
        names_what_it_found, names_a_bounded_number, names_what_was_completed_since;
}
