use std::ops::Range;

use js_sys::{Array, Function, JsString, Reflect, RegExp};
use wasm_bindgen::{JsCast, JsValue};

use super::javascript::translate;

/// A regular expression.
pub(in crate::chat) struct Pattern(RegExp);

impl Pattern {
    /// Compiles a pattern, or returns the reason why it is invalid.
    pub(in crate::chat) fn new(pattern: &str) -> Result<Self, String> {
        let spelled = translate(pattern).map_err(|what| format!("browsers cannot do {what}"))?;
        // `new RegExp` would throw through wasm.
        let made = || {
            let class: Function = Reflect::get(&js_sys::global(), &"RegExp".into())?.dyn_into()?;
            Reflect::construct(&class, &Array::of2(&spelled.into(), &"gv".into()))?.dyn_into()
        };
        let message = |thrown: JsValue| thrown.dyn_into::<js_sys::Error>().map(|error| error.message().into());
        made().map(Self).map_err(|thrown| message(thrown).unwrap_or_else(|_| "the browser refused it".into()))
    }

    /// Byte ranges of the matches, in order.
    pub(in crate::chat) fn find_all(&self, text: &str) -> Result<Vec<Range<usize>>, String> {
        let fault = || String::from("the browser could not match it");
        let (mut ranges, mut cursor) = (Vec::new(), Cursor { rest: text.chars(), unit: 0, len: text.len() });
        for found in &JsString::from(text).match_all(&self.0) {
            let found = found.ok().and_then(|found| found.dyn_into::<Array>().ok()).ok_or_else(fault)?;
            let start =
                Reflect::get(&found, &"index".into()).ok().and_then(|at| at.as_f64()).ok_or_else(fault)? as usize;
            let len = found.get(0).dyn_into::<JsString>().map_err(|_| fault())?.length() as usize;
            ranges.push(cursor.byte(start)..cursor.byte(start + len));
        }
        Ok(ranges)
    }
}

/// Converts offsets in JavaScript's 16-bit units to byte offsets.
struct Cursor<'t> {
    rest: std::str::Chars<'t>,
    unit: usize,
    len: usize,
}

impl Cursor<'_> {
    /// Byte offset of a unit; units must be passed in increasing order.
    fn byte(&mut self, unit: usize) -> usize {
        while self.unit < unit {
            let Some(c) = self.rest.next() else { break };
            self.unit += c.len_utf16();
        }
        self.len - self.rest.as_str().len()
    }
}
