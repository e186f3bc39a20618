//! The part of a file that a response has.

/// A part of a file, from `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: u64,
    /// Length of the whole file, if the server tells it.
    pub(super) bytes: Option<u64>,
}

impl Extent {
    /// Reads the header `content-range` of a partial response; `None` if it is no valid range.
    pub(super) fn of_part(range: &str) -> Option<Self> {
        let (span, total) = range.strip_prefix("bytes ")?.split_once('/')?;
        let (start, last) = span.split_once('-')?;
        let (start, last) = (number(start)?, number(last)?);
        let bytes = if total == "*" { None } else { Some(number(total)?) };
        let is_right = start <= last && bytes.is_none_or(|bytes| last < bytes);
        is_right.then_some(Self { start, bytes })
    }
}

/// A number of digits alone: `parse` accepts a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_rfc_9110() {
        let known = |start, bytes| Some(Extent { start, bytes });
        for (range, wanted) in [
            ("bytes 5-9/10", known(5, Some(10))),
            ("bytes 0-3/10", known(0, Some(10))),
            ("bytes 5-9/*", known(5, None)),
            ("bytes 5-9/9", None),
            ("bytes 9-5/10", None),
            ("bytes +5-9/10", None),
            ("bytes -9/10", None),
            ("bytes */10", None),
            ("5-9/10", None),
            ("bytes 18446744073709551616-1/2", None),
        ] {
            assert_eq!(Extent::of_part(range), wanted, "{range}");
        }
    }
}
