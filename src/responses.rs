//! Responses in memory that later requests continue or read.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// Part of the memory that one owner may fill is the whole divided by this.
const OWNERS: usize = 4;
/// Limit of the responses of one owner, which bounds the search for an item.
const MOST: usize = 1000;
/// Most bytes of the stored items of a request.
const MOST_NAMED: usize = 64 << 20;
/// Bytes of a value beside its text.
const VALUE: usize = 32;

/// A stored response.
#[derive(Debug)]
struct Stored {
    owner: String,
    id: String,
    /// The conversation: items of earlier responses, input, output. Responses of one conversation share them.
    items: Vec<Arc<Value>>,
    /// JSON of the response.
    body: String,
    /// Bytes of all of this, including shared items.
    bytes: usize,
}

/// Responses of all owners, within a limit of memory. The least recently used ones make room for others, first those of the same owner.
#[derive(Debug)]
pub struct Responses {
    most_bytes: usize,
    /// The least recently used first.
    stored: Mutex<VecDeque<Stored>>,
}

impl Responses {
    /// Creates an empty store of at most `most_bytes` bytes.
    pub fn new(most_bytes: usize) -> Self {
        Self { most_bytes, stored: Mutex::default() }
    }

    fn stored(&self) -> MutexGuard<'_, VecDeque<Stored>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The conversation of a response, to be continued.
    pub fn conversation(&self, owner: &str, id: &str) -> Option<Vec<Arc<Value>>> {
        let mut stored = self.stored();
        let found = position(&stored, owner, id).and_then(|place| stored.remove(place))?;
        let items = found.items.clone();
        stored.push_back(found);
        Some(items)
    }

    /// The item with an id, from the newest response that has it.
    pub fn item(&self, owner: &str, id: &str) -> Option<Arc<Value>> {
        let stored = self.stored();
        let mut items = stored.iter().rev().filter(|response| response.owner == owner).flat_map(|found| &found.items);
        items.find(|item| item["id"] == id).cloned()
    }

    /// JSON of a response.
    pub fn body(&self, owner: &str, id: &str) -> Option<String> {
        let stored = self.stored();
        position(&stored, owner, id).map(|place| stored[place].body.clone())
    }

    /// Removes a response. Returns false if there is none.
    pub fn remove(&self, owner: &str, id: &str) -> bool {
        let mut stored = self.stored();
        position(&stored, owner, id).and_then(|place| stored.remove(place)).is_some()
    }

    /// Stores a response, unless it is larger than the part of an owner.
    pub fn keep(&self, owner: &str, id: &str, items: Vec<Arc<Value>>, body: String) {
        let bytes = body.len() + items.iter().map(|item| bytes_of(item)).sum::<usize>();
        if bytes > self.most_bytes / OWNERS {
            return;
        }
        let mut stored = self.stored();
        let sum = |stored: &VecDeque<Stored>, is_counted: &dyn Fn(&Stored) -> bool| {
            let counted = stored.iter().filter(|response| is_counted(response));
            counted.fold((0, 0), |(number, sum), response| (number + 1, sum + response.bytes))
        };
        let is_own = |response: &Stored| response.owner == owner;
        while let (number, used) = sum(&stored, &is_own)
            && (used + bytes > self.most_bytes / OWNERS || number >= MOST)
            && let Some(oldest) = stored.iter().position(is_own)
        {
            stored.remove(oldest);
        }
        while sum(&stored, &|_| true).1 + bytes > self.most_bytes && stored.pop_front().is_some() {}
        stored.push_back(Stored { owner: owner.to_owned(), id: id.to_owned(), items, body, bytes });
    }
}

fn position(stored: &VecDeque<Stored>, owner: &str, id: &str) -> Option<usize> {
    stored.iter().position(|response| response.owner == owner && response.id == id)
}

/// Counts the stored items that a request names: a short request may name large items, and one of them again and again.
#[derive(Debug, Default)]
pub(crate) struct Named {
    pub(crate) bytes: usize,
}

impl Named {
    /// Counts an item.
    ///
    /// # Errors
    /// The reason, if the items are larger together than the largest body.
    pub(crate) fn count(&mut self, item: &Value) -> Result<(), String> {
        self.bytes += bytes_of(item);
        let told = || format!("stored items of a request have at most {MOST_NAMED} bytes together");
        if self.bytes > MOST_NAMED { Err(told()) } else { Ok(()) }
    }
}

/// Approximate bytes of a value in memory.
fn bytes_of(value: &Value) -> usize {
    VALUE
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(bytes_of).sum(),
            Value::Object(map) => map.iter().map(|(name, value)| VALUE + name.len() + bytes_of(value)).sum(),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn keep(responses: &Responses, owner: &str, id: &str, bytes: usize) {
        responses.keep(owner, id, vec![Arc::new(json!({ "id": format!("item_{id}") }))], "x".repeat(bytes));
    }

    #[test]
    fn stored_items_have_the_limit_of_a_body_together() {
        let (item, mut named) = (json!({"content": "x".repeat(MOST_NAMED / 2)}), Named::default());
        assert_eq!(named.count(&item), Ok(()));
        assert!(named.count(&item).is_err());
    }

    #[test]
    fn memory_is_bounded_for_each_owner_and_in_total() {
        let responses = Responses::new(40_000);
        for index in 0..9 {
            keep(&responses, "ann", &index.to_string(), 3000);
            keep(&responses, "bob", "one", 100);
        }
        let kept = |owner: &str, id: &str| responses.body(owner, id).is_some();
        assert_eq!(
            (kept("ann", "5"), kept("ann", "6"), kept("ann", "8"), kept("bob", "one")),
            (false, true, true, true)
        );
        // A response that was continued is not the oldest any more.
        assert!(responses.conversation("ann", "6").is_some());
        keep(&responses, "ann", "9", 3000);
        assert_eq!((kept("ann", "6"), kept("ann", "7")), (true, false));
        keep(&responses, "ann", "large", 10_001);
        assert!(!kept("ann", "large") && kept("ann", "9"), "one that does not fit removes nothing");
        for index in 0..8 {
            keep(&responses, &format!("owner {index}"), "a", 9000);
        }
        let used: usize = responses.stored().iter().map(|response| response.bytes).sum();
        assert!(used <= 40_000 && !kept("ann", "9") && kept("owner 7", "a"), "{used}");
    }

    #[test]
    fn owners_see_only_their_own() {
        let responses = Responses::new(40_000);
        keep(&responses, "ann", "r", 10);
        assert!(responses.item("ann", "item_r").is_some() && responses.item("bob", "item_r").is_none());
        assert!(responses.body("bob", "r").is_none() && responses.conversation("bob", "r").is_none());
        assert!(!responses.remove("bob", "r") && responses.remove("ann", "r") && !responses.remove("ann", "r"));
    }
}
