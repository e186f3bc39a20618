//! Descriptions of all objects in memory, and the bytes and places that are taken. Lists read no files.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ocelli::Error;
use ocelli::api::Reply;
use serde::Deserialize;

use super::{FileObject, Limits, Object};
use crate::shared::api;
use crate::shared::callers::Caller;

/// Bytes of objects after which a page of a list ends.
const PAGE: usize = 256 << 10;

/// Fields of every object.
#[derive(Deserialize)]
struct Head {
    id: String,
    created_at: u64,
    #[serde(default)]
    owner: String,
    /// The time at which a file is removed. A batch has another meaning for it.
    expires_at: Option<u64>,
    /// The time at which a batch is removed.
    removed_at: Option<u64>,
}

/// An object.
#[derive(Debug)]
struct Entry {
    created: u64,
    owner: String,
    expires: Option<u64>,
    json: Arc<str>,
}

impl Entry {
    fn is_there(&self) -> bool {
        self.expires.is_none_or(|at| at > api::seconds())
    }
}

/// Bytes and number of objects.
#[derive(Debug, Default, Clone, Copy)]
struct Used {
    bytes: u64,
    objects: u64,
}

/// All objects by id, rebuilt from the folder when it is opened.
#[derive(Debug, Default)]
pub(super) struct Index {
    objects: HashMap<String, Entry>,
    /// Times and ids, the oldest first.
    order: BTreeSet<(u64, String)>,
    /// Owners and bytes of data files, also of those whose object does not exist yet.
    files: HashMap<String, (String, u64)>,
    all: Used,
    owners: HashMap<String, Used>,
}

impl Index {
    /// Adds an object or replaces it. Returns false for JSON that is not that of an object with this id.
    pub(super) fn set(&mut self, id: &str, json: &str) -> bool {
        let Ok(head) = serde_json::from_str::<Head>(json) else { return false };
        if head.id != id {
            return false;
        }
        let is_file = id.starts_with(FileObject::PREFIX);
        let expires = if is_file { head.expires_at } else { head.removed_at };
        let entry = Entry { created: head.created_at, owner: head.owner, expires, json: json.into() };
        self.order.insert((entry.created, id.to_owned()));
        self.objects.insert(id.to_owned(), entry);
        true
    }

    /// Removes an object and returns its place.
    pub(super) fn unset(&mut self, id: &str) {
        if let Some(entry) = self.objects.remove(id) {
            self.order.remove(&(entry.created, id.to_owned()));
            self.return_place(&entry.owner);
        }
    }

    /// JSON of an object that has not expired.
    pub(super) fn json(&self, id: &str) -> Option<Arc<str>> {
        self.objects.get(id).filter(|entry| entry.is_there()).map(|entry| entry.json.clone())
    }

    /// Owner of an object.
    pub(super) fn owner(&self, id: &str) -> Option<String> {
        self.objects.get(id).map(|entry| entry.owner.clone())
    }

    /// Ids with a prefix, the newest first.
    pub(super) fn ids(&self, prefix: &str) -> Vec<String> {
        self.order.iter().rev().map(|(_, id)| id).filter(|id| id.starts_with(prefix)).cloned().collect()
    }

    /// Ids of objects that have expired.
    pub(super) fn expired(&self) -> Vec<String> {
        self.objects.iter().filter(|(_, entry)| !entry.is_there()).map(|(id, _)| id.clone()).collect()
    }

    /// Counts an object that will be added. Returns false if there is no place for it.
    pub(super) fn take_place(&mut self, owner: &str, most: &Limits) -> bool {
        let is_there = self.all.objects < most.objects && self.used(owner).objects < most.of(owner).objects;
        if is_there {
            self.count_object(owner);
        }
        is_there
    }

    /// Counts an object that is added in any case.
    pub(super) fn count_object(&mut self, owner: &str) {
        self.all.objects += 1;
        self.owners.entry(owner.to_owned()).or_default().objects += 1;
    }

    /// Uncounts an object.
    pub(super) fn return_place(&mut self, owner: &str) {
        let used = self.owners.entry(owner.to_owned()).or_default();
        used.objects = used.objects.saturating_sub(1);
        self.all.objects = self.all.objects.saturating_sub(1);
    }

    /// Number of objects of an owner.
    pub(super) fn objects(&self, owner: &str) -> u64 {
        if owner.is_empty() { self.all.objects } else { self.used(owner).objects }
    }

    /// Counts bytes of a data file. Returns false if there is no room for them.
    pub(super) fn take_room(&mut self, (id, owner): (&str, &str), bytes: u64, most: &Limits) -> bool {
        let fits = |used: Used, most: u64| used.bytes.checked_add(bytes).is_some_and(|sum| sum <= most);
        let is_there = fits(self.all, most.bytes) && fits(self.used(owner), most.of(owner).bytes);
        if is_there {
            self.count((id, owner), bytes);
        }
        is_there
    }

    /// Counts bytes of a data file in any case.
    pub(super) fn count(&mut self, (id, owner): (&str, &str), bytes: u64) {
        self.all.bytes += bytes;
        self.owners.entry(owner.to_owned()).or_default().bytes += bytes;
        self.files.entry(id.to_owned()).or_insert_with(|| (owner.to_owned(), 0)).1 += bytes;
    }

    /// Uncounts a data file.
    pub(super) fn uncount(&mut self, id: &str) {
        let Some((owner, bytes)) = self.files.remove(id) else { return };
        let used = self.owners.entry(owner).or_default();
        used.bytes = used.bytes.saturating_sub(bytes);
        self.all.bytes = self.all.bytes.saturating_sub(bytes);
    }

    fn used(&self, owner: &str) -> Used {
        self.owners.get(owner).copied().unwrap_or_default()
    }

    /// A page of the list of those objects with a prefix that a sender may read, the newest first. A page of large objects has fewer
    /// than were asked for.
    fn page(&self, prefix: &str, caller: &Caller, (after, limit): (Option<(u64, String)>, usize)) -> Page {
        let mut page = Page::default();
        let (mut bytes, range) =
            (0, after.map_or_else(|| self.order.range::<(u64, String), _>(..), |after| self.order.range(..after)));
        for (_, id) in range.rev().filter(|(_, id)| id.starts_with(prefix)) {
            let Some(entry) = self.objects.get(id).filter(|entry| caller.sees(&entry.owner) && entry.is_there()) else {
                continue;
            };
            page.has_more = page.shown.len() == limit || bytes > PAGE;
            if page.has_more {
                break;
            }
            bytes += entry.json.len();
            page.shown.push((id.clone(), entry.json.clone()));
        }
        page
    }

    /// The page that a query asks for: `limit` objects, by default `most`, after the one with the id `after`.
    ///
    /// # Errors
    /// A fault of the query.
    pub(super) fn asked(
        &self,
        prefix: &str,
        caller: &Caller,
        (query, most): (Option<&str>, usize),
    ) -> Result<Page, Reply> {
        let field = |name: &str| {
            let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let wrong = |name: &str, reason: String| Reply::from(&Error::request(name, reason));
        let limit = match field("limit").map(str::parse) {
            None => most,
            Some(Ok(limit)) if (1..=10_000).contains(&limit) => limit,
            Some(_) => return Err(wrong("limit", "must be a number from 1 to 10000".into())),
        };
        let place = |after: &str| {
            let entry = self.objects.get(after).filter(|entry| caller.sees(&entry.owner));
            let known = entry.filter(|_| after.starts_with(prefix)).map(|entry| (entry.created, after.to_owned()));
            known.ok_or_else(|| wrong("after", format!("there is no {after:?}")))
        };
        Ok(self.page(prefix, caller, (field("after").map(place).transpose()?, limit)))
    }
}

/// A page of a list.
#[derive(Default)]
pub(crate) struct Page {
    /// Ids and JSON.
    shown: Vec<(String, Arc<str>)>,
    has_more: bool,
}

impl Page {
    /// JSON of the page. `now` is the JSON of an object that has changed since it was written.
    pub(crate) fn json(&self, now: &dyn Fn(&str) -> Option<String>) -> String {
        let id = |object: Option<&(String, Arc<str>)>| object.map_or("null".into(), |(id, _)| format!("\"{id}\""));
        let (first, last, more) = (id(self.shown.first()), id(self.shown.last()), self.has_more);
        let shown: Vec<String> =
            self.shown.iter().map(|(id, json)| now(id).unwrap_or_else(|| json.as_ref().to_owned())).collect();
        let shown = shown.join(",");
        format!(r#"{{"object":"list","data":[{shown}],"first_id":{first},"last_id":{last},"has_more":{more}}}"#)
    }
}
