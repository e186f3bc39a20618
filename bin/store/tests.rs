//! Room and lifetimes of stored files.

use super::*;

/// A temporary store of ten bytes, which is removed with the returned value.
fn store() -> Temporary {
    Temporary(Arc::new(Store::open(None, 10).expect("a folder")))
}

fn written(store: &Store, bytes: &[u8]) -> FileObject {
    let mut object = FileObject::new("", "a.jsonl", "batch");
    fs::write(store.create(&object.id).expect("a file"), bytes).expect("its bytes");
    object.bytes = bytes.len() as u64;
    object
}

#[test]
fn files_take_the_room_that_there_is() {
    let Temporary(store) = &store();
    assert!(store.take_room(6) && !store.take_room(5) && store.take_room(4) && !store.take_room(1));
    let file = written(store, b"four");
    store.put(&file).expect("an object");
    store.remove(&file.id);
    assert!(!store.take_room(5) && store.take_room(4));
}

#[test]
fn an_upload_that_ends_early_returns_all_of_its_room() {
    let Temporary(store) = &store();
    assert!(store.take_room(10));
    // Six of the counted bytes were not written yet.
    let file = written(store, b"four");
    store.discard(&file.id, 10);
    assert!(store.take_room(10));
}

#[test]
fn files_are_removed_when_they_expire() {
    let Temporary(store) = &store();
    let [mut gone, kept] = [b"a", b"b"].map(|bytes| written(store, bytes));
    gone.expires_at = Some(api::seconds() - 1);
    for file in [&gone, &kept] {
        store.put(file).expect("an object");
    }
    store.remove_expired();
    assert_eq!(store.all::<FileObject>().iter().map(|file| &file.id).collect::<Vec<_>>(), [&kept.id]);
    assert!(!store.bytes(&gone.id).exists() && store.bytes(&kept.id).exists());
}

#[test]
fn bytes_of_an_opened_folder_are_counted() {
    let folder = std::env::temp_dir().join(format!("ocelli-{}", api::random_name()));
    let opened = || Store::open(Some(&folder), 10).expect("a folder");
    let store = opened();
    store.put(&written(&store, b"eight at")).expect("an object");
    drop(store);
    let store = opened();
    assert!(!store.take_room(3) && store.take_room(2));
    fs::remove_dir_all(folder).expect("it was there");
}
