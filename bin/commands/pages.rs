//! Choices of pages: `1-3`, `2,5-`.

use std::str::FromStr;

/// Pages of a document, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageRange(Vec<Span>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    first: usize,
    /// The last page; `None` for that of the document.
    last: Option<usize>,
}

impl FromStr for PageRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| match text.trim().parse() {
            Ok(number @ 1usize..) => Ok(number),
            _ => Err(format!("{text:?} is not the number of a page")),
        };
        let span = |part: &str| {
            let (first, last) = match part.split_once('-') {
                None => (number(part)?, Some(number(part)?)),
                Some((first, last)) if last.trim().is_empty() => (number(first)?, None),
                Some((first, last)) => (number(first)?, Some(number(last)?)),
            };
            if last.is_some_and(|last| last < first) {
                return Err(format!("{part:?} ends before it begins"));
            }
            Ok(Span { first, last })
        };
        text.split(',').map(span).collect::<Result<_, _>>().map(Self)
    }
}

impl PageRange {
    /// The chosen pages of a document, in its order.
    pub(crate) fn of(&self, total: usize) -> Vec<usize> {
        let is_chosen = |page: &usize| {
            let has = |span: &Span| span.first <= *page && span.last.is_none_or(|last| *page <= last);
            self.0.iter().any(has)
        };
        (1..=total).filter(is_chosen).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_choose_pages_that_exist() {
        let of = |text: &str| text.parse::<PageRange>().map(|range| range.of(6));
        assert_eq!(of("1-3"), Ok(vec![1, 2, 3]));
        assert_eq!(of("5-,2"), Ok(vec![2, 5, 6]));
        assert_eq!((of("9"), of("4-100")), (Ok(vec![]), Ok(vec![4, 5, 6])));
        for wrong in ["", "0", "a", "3-1", "-2", "1,,2", "1--2"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
