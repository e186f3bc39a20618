//! Formats as regular expressions, none wider than the checks of validators such as ajv-formats and `jsonschema`. Unknown formats are
//! annotations, as in the specification.

/// Valid dates: <https://www.rfc-editor.org/rfc/rfc3339#section-5.7>.
const DATE: &str = "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))\
    |(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29)";
/// Without leap seconds, which are valid only at certain times.
const TIME: &str =
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
const DURATION: &str = "P(?:[0-9]{1,9}W|(?:[0-9]{1,9}Y(?:[0-9]{1,9}M(?:[0-9]{1,9}D)?)?|[0-9]{1,9}M(?:[0-9]{1,9}D)?|[0-9]{1,9}D)(?:T(?:[0-9]{1,9}H(?:[0-9]{1,9}M(?:[0-9]{1,9}S)?)?|[0-9]{1,9}M(?:[0-9]{1,9}S)?|[0-9]{1,9}S))?|T(?:[0-9]{1,9}H(?:[0-9]{1,9}M(?:[0-9]{1,9}S)?)?|[0-9]{1,9}M(?:[0-9]{1,9}S)?|[0-9]{1,9}S))";
const LABEL: &str = "[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20}){0,2}";
const BYTE: &str = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const PATH_CHARACTER: &str = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})";
const BASE64: &str = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?";

/// Regular expression of a format; none for unknown formats.
pub(super) fn format(name: &str) -> Option<String> {
    let group = "[0-9A-Fa-f]{1,4}";
    let host = format!("{LABEL}(?:\\.{LABEL}){{0,4}}");
    let uri = format!(
        "(?:https?|ftp)://{host}(?::[0-9]{{1,4}})?(?:/{PATH_CHARACTER}*)*(?:\\?(?:{PATH_CHARACTER}|[/?])*)?(?:#(?:{PATH_CHARACTER}|[/?])*)?\
         |(?:mailto|tel|urn|data):{PATH_CHARACTER}+"
    );
    let body = match name {
        "date" => DATE.into(),
        "time" | "iso-time" => TIME.into(),
        "date-time" | "iso-date-time" => format!("{DATE}T{TIME}"),
        "duration" => DURATION.into(),
        "email" | "idn-email" => {
            let local = "[A-Za-z0-9_+-]{1,20}(?:\\.[A-Za-z0-9_+-]{1,20}){0,2}";
            format!("{local}@(?:{LABEL}\\.){{1,3}}[A-Za-z]{{2,20}}")
        }
        "hostname" | "idn-hostname" => host,
        "ipv4" => format!("(?:{BYTE}\\.){{3}}{BYTE}"),
        "ipv6" => format!("(?:{group}:){{7}}{group}|(?:{group}:){{1,6}}:{group}|::(?:{group}:){{0,5}}{group}"),
        "uri" | "iri" | "uri-reference" | "iri-reference" | "uri-template" => uri,
        "uuid" => "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}".into(),
        "json-pointer" => "(?:/[A-Za-z0-9_-]*)*".into(),
        "relative-json-pointer" => "(?:0|[1-9][0-9]{0,3})(?:/[A-Za-z0-9_-]*)*".into(),
        "regex" => "[A-Za-z0-9 _-]*".into(),
        "byte" => BASE64.into(),
        _ => return None,
    };
    Some(format!("^(?:{body})$"))
}

/// Equivalents without look-ahead of patterns that zod writes for common types; they may be narrower.
pub(super) fn known_pattern(pattern: &str) -> Option<String> {
    let format_name = match pattern {
        r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$" => "email",
        r"^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)$" => "duration",
        _ => return None,
    };
    format(format_name)
}
