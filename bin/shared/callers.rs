//! API keys that the server accepts: that of `--api-key`, and those of a file that is read again when it changes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use ocelli::Result;
use ocelli::api::Limit;

use super::keys::{KeyEntry, KeyHash, read};
use super::{disk, io, units};

/// Time between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Sender of a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Caller {
    /// Name of its key, `api-key` for that of `--api-key`, empty without keys.
    pub(crate) name: String,
    /// True for a key of the file: usage is counted under its name whatever a request names, and its files are its own.
    pub(crate) is_named: bool,
    /// True if it reads everything.
    pub(crate) is_admin: bool,
    /// Limits of its own in a day.
    pub(crate) limit: Limit,
}

impl Caller {
    /// The sender of a request that needs no key, or has that of `--api-key`.
    pub(crate) fn unnamed(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.into(), is_admin: true, ..Self::default() })
    }

    /// Owner of its files and batches; empty for those of no key of the file.
    pub(crate) fn owner(&self) -> &str {
        if self.is_named { &self.name } else { "" }
    }

    /// Returns true if it may read what belongs to an owner.
    pub(crate) fn sees(&self, owner: &str) -> bool {
        self.is_admin || self.owner() == owner
    }
}

struct Key {
    hash: KeyHash,
    /// First day on which it is refused.
    expires: Option<String>,
    caller: Arc<Caller>,
}

impl Key {
    fn new(entry: KeyEntry) -> Self {
        let KeyEntry { name, sha256, budget, expires, admin } = entry;
        let caller = Caller { name, is_named: true, is_admin: admin, limit: budget.limit() };
        Self { hash: sha256, expires: expires.map(|day| day.0), caller: Arc::new(caller) }
    }

    fn is_valid(&self) -> bool {
        let today = || units::today().map(|today| today.to_string());
        self.expires.as_ref().is_none_or(|expires| today().is_some_and(|today| today < *expires))
    }
}

/// The keys.
#[derive(Default)]
pub(crate) struct Keys {
    /// The key of `--api-key`.
    api_key: Option<Key>,
    path: Option<PathBuf>,
    /// Keys of the file.
    named: RwLock<Vec<Key>>,
}

impl Keys {
    /// Reads the file of keys.
    ///
    /// # Errors
    /// `io`, or `invalid-request` for a malformed file.
    pub(crate) fn open(api_key: Option<&str>, path: Option<&Path>) -> Result<Self> {
        let api_key = api_key.filter(|key| !key.is_empty());
        let api_key =
            api_key.map(|key| Key { hash: KeyHash::of(key), expires: None, caller: Caller::unnamed("api-key") });
        let keys = Self { api_key, path: path.map(Path::to_path_buf), named: RwLock::default() };
        keys.reread()?;
        path.into_iter().for_each(disk::warn_of_readers);
        Ok(keys)
    }

    fn reread(&self) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let keys = read(path)?.into_iter().map(Key::new).collect();
        *self.named.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// Reads the file again whenever it changes. After a malformed change the keys before it stay valid.
    pub(crate) async fn watch(&self) {
        let Some(path) = &self.path else { return };
        let version = async || {
            let about = tokio::fs::metadata(path).await.ok()?;
            Some((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), about.len()))
        };
        // The file may have changed since it was read.
        let mut known = None;
        loop {
            let now = version().await;
            if now.is_some() && now != known {
                self.reread().unwrap_or_else(|error| io::complain(&error));
            }
            known = now.or(known);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Returns true if requests need a key.
    pub(crate) fn are_needed(&self) -> bool {
        self.api_key.is_some() || self.path.is_some()
    }

    /// The sender of a request with a key; `None` if no such key is valid.
    pub(crate) fn caller(&self, key: &str) -> Option<Arc<Caller>> {
        let hash = KeyHash::of(key);
        self.find(|key| key.hash == hash)
    }

    /// The owner of files; `None` if its key is not valid any more.
    pub(crate) fn owner(&self, name: &str) -> Option<Arc<Caller>> {
        match (name, &self.api_key) {
            ("", None) => Some(Caller::unnamed("")),
            ("", Some(key)) => Some(key.caller.clone()),
            _ => self.find(|key| key.caller.owner() == name),
        }
    }

    fn find(&self, is_wanted: impl Fn(&Key) -> bool) -> Option<Arc<Caller>> {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        // All are compared, so that the time does not depend on which one it is.
        let found = self.api_key.iter().chain(named.iter()).filter(|key| is_wanted(key) && key.is_valid()).last();
        found.map(|key| key.caller.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_file_until_they_expire_and_after_a_change() {
        let path = std::env::temp_dir().join(format!("ocelli-keys-{}", crate::shared::api::random_name()));
        let entry = |name: &str, more: &str| {
            format!(r#"{{"name": "{name}", "sha256": "{}"{more}}}"#, String::from(KeyHash::of(name)))
        };
        let write = |entries: &[String]| std::fs::write(&path, format!("[{}]", entries.join(","))).expect("a file");
        write(&[
            entry("ann", ""),
            entry("bob", r#", "admin": true"#),
            entry("old", r#", "expires": "2020-01-01""#),
            entry("new", r#", "expires": "9999-12-31""#),
        ]);
        let keys = Keys::open(Some("secret"), Some(&path)).expect("keys");
        let name = |key: &str| keys.caller(key).map(|caller| caller.name.clone());
        assert_eq!(
            ["ann", "bob", "old", "new", "secret", "", "eve"].map(name),
            [Some("ann"), Some("bob"), None, Some("new"), Some("api-key"), None, None]
                .map(|name| name.map(str::to_owned))
        );
        let [ann, bob] = ["ann", "bob"].map(|name| keys.owner(name).expect("a key"));
        assert!(ann.sees("ann") && !ann.sees("bob") && !ann.sees("") && bob.sees("ann") && bob.sees(""));
        assert!(keys.owner("old").is_none() && keys.owner("").is_some_and(|caller| caller.name == "api-key"));
        std::fs::write(&path, "[").expect("a file");
        assert_eq!(keys.reread().map_err(|error| error.code()), Err("invalid-request"));
        assert!(name("ann").is_some(), "a malformed file changes nothing");
        write(&[entry("eve", "")]);
        keys.reread().expect("a good file");
        assert_eq!((name("ann"), name("eve")), (None, Some("eve".to_owned())));
        std::fs::remove_file(&path).expect("a file");
    }
}
