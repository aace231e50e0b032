//! Roles by their ARNs: what is wrong with one, and which of them cannot be used together.

use super::super::{Given, Named, escaped};
use crate::error::Problem;

const EXAMPLE: &str = "`arn:aws:iam::123456789012:role/deploy`";

/// What is in a role's ARN.
pub(super) struct Role<'a> {
    partition: &'a str,
    account: &'a str,
    named: &'a Named<'a>,
}

impl<'a> Role<'a> {
    pub(super) fn parse(named: &'a Named<'a>, problems: &mut Vec<Problem>) -> Option<Self> {
        let (text, name) = (named.text, &named.name);
        let mut wrong = |why: &str, help: String| {
            problems.push(Problem::new(format!("{name} is `{}`, {why}", escaped(text)), help));
            None
        };
        let Some(arn) = text.strip_prefix("arn:") else {
            return wrong("which is no ARN of a role", format!("write the whole ARN, as in {EXAMPLE}"));
        };
        let parts: Vec<&str> = arn.splitn(5, ':').collect();
        let [partition, service, region, account, resource] = parts[..] else {
            return wrong("which is cut off", format!("write the whole ARN, as in {EXAMPLE}"));
        };
        if service == "sts" && resource.starts_with("assumed-role/") {
            return wrong(
                "a role's session and not the role",
                format!("write the ARN of the role itself, as in {EXAMPLE}"),
            );
        }
        let role = resource.strip_prefix("role/").filter(|_| service == "iam" && region.is_empty());
        let Some(role) = role else {
            return wrong("the ARN of something else than a role", format!("write it as in {EXAMPLE}"));
        };
        if !partition.starts_with("aws") || !partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
            return wrong(
                "whose partition there is not",
                "partitions are `aws`, `aws-cn`, `aws-us-gov` and the like".to_owned(),
            );
        }
        if !is_account(account) {
            return wrong("whose account is not twelve digits", format!("write it as in {EXAMPLE}"));
        }
        let good = !role.is_empty() && !role.ends_with('/') && role.bytes().all(|b| in_names(b) || b == b'/');
        if !good || text.len() > 2048 {
            return wrong("whose role has no possible name", format!("write it as in {EXAMPLE}"));
        }
        Some(Self { partition, account, named })
    }
}

/// IAM's `[\w+=,.@-]`.
pub(super) fn in_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Regions by their beginnings; every other one is of `aws`
/// ([partitions](https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html)).
const PARTITIONS: [(&str, &str); 7] = [
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
    ("eusc-", "aws-eusc"),
];

/// Nobody gets from one partition into another.
pub(super) fn partitions(given: &Given<'_>, roles: &[Option<Role<'_>>], problems: &mut Vec<Problem>) {
    let mut roles = roles.iter().flatten();
    let Some(first) = roles.next() else { return };
    if let Some(other) = roles.find(|role| role.partition != first.partition) {
        let what = format!(
            "{} names a role of the partition `{}`, and {} one of `{}`",
            first.named.name, first.partition, other.named.name, other.partition
        );
        problems.push(Problem::new(what, "roles can be assumed within one partition only"));
    }
    let Some(region) = given.first("aws_region", &["AWS_REGION", "AWS_DEFAULT_REGION"]) else { return };
    let of_region = PARTITIONS.iter().find(|(start, _)| region.text.starts_with(start)).map_or("aws", |(_, name)| name);
    let known = first.partition == "aws" || PARTITIONS.iter().any(|(_, name)| *name == first.partition);
    if known && of_region != first.partition {
        let what = format!(
            "{} names a role of the partition `{}`, and the region `{}` of {} is in `{of_region}`",
            first.named.name,
            first.partition,
            escaped(region.text),
            region.name
        );
        problems.push(Problem::new(what, "name a role and a region of one partition"));
    }
}

/// Before any call: the account that the login would end in, where its role says it.
pub(super) fn accounts(
    given: &Given<'_>,
    allowed: &[&str],
    last: Option<&Option<Role<'_>>>,
    problems: &mut Vec<Problem>,
) {
    let name = given.shown("aws_allowed_account_ids");
    if let Some(bad) = allowed.iter().find(|id| !is_account(id)) {
        let what = format!("{name} holds `{}`, which is no account id", escaped(bad));
        return problems.push(Problem::new(what, "write twelve digits each, without dashes"));
    }
    if let Some(Some(role)) = last
        && !allowed.is_empty()
        && !allowed.contains(&role.account)
    {
        let what =
            format!("{} names a role of the account {}, which {name} does not allow", role.named.name, role.account);
        problems.push(Problem::new(what, format!("name a role of {}, or add the account", allowed.join(" or "))));
    }
}
