//! Room, lifetimes and paths of stored files.

use super::*;

const LIMITS: Limits = Limits { bytes: 10, objects: 2 };

/// A temporary store of ten bytes and two objects, which is removed with the returned value.
fn store() -> Temporary {
    Temporary(Arc::new(Store::open(None, LIMITS).expect("a folder")))
}

/// A path that is unused.
fn unused() -> PathBuf {
    std::env::temp_dir().join(format!("ocelli-{}", api::random_name()))
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
    let folder = unused();
    let opened = || Store::open(Some(&folder), LIMITS).expect("a folder");
    let store = opened();
    store.put(&written(&store, b"eight at")).expect("an object");
    drop(store);
    let store = opened();
    assert!(!store.take_room(3) && store.take_room(2));
    fs::remove_dir_all(folder).expect("it was there");
}

#[test]
fn objects_are_bounded_and_those_that_expire_make_room() {
    let Temporary(store) = &store();
    let mut files = [written(store, b"a"), written(store, b"b")];
    for file in &mut files {
        file.expires_at = Some(api::seconds() + 3600);
        store.take_place().expect("a place");
        store.put(file).expect("an object");
    }
    let full = store.take_place().expect_err("a full store");
    let told: Value = serde_json::from_str(&full.body).expect("JSON");
    let message = "there are 2 files and batches, of at most 2: delete others";
    assert_eq!((full.status, &told["error"]["code"]), (413, &json!("storage_full")));
    assert!(told["error"]["message"].as_str().is_some_and(|told| told.contains(message)), "{told}");
    // An object that is written again takes no more.
    files[0].expires_at = Some(api::seconds() - 1);
    store.put(&files[0]).expect("an object");
    store.take_place().expect("the place of the expired file");
    assert!(store.take_place().is_err());
    store.return_place();
    store.remove(&files[1].id);
    // It is removed once.
    store.remove(&files[1].id);
    assert!(store.take_place().is_ok() && store.take_place().is_ok() && store.take_place().is_err());
}

#[test]
fn objects_of_an_opened_folder_are_counted() {
    let folder = unused();
    let opened = || Store::open(Some(&folder), LIMITS).expect("a folder");
    let store = opened();
    store.put(&written(&store, b"a")).expect("an object");
    drop(store);
    let store = opened();
    assert!(store.take_place().is_ok() && store.take_place().is_err());
    fs::remove_dir_all(folder).expect("it was there");
}

#[cfg(unix)]
#[test]
fn the_folder_stays_the_same_if_a_link_to_it_is_changed() {
    let (root, link) = (unused(), unused());
    let [own, other] = ["own", "other"].map(|name| root.join(name));
    [&own, &other].into_iter().for_each(|folder| fs::create_dir_all(folder).expect("a folder"));
    std::os::unix::fs::symlink(&own, &link).expect("a link");
    let store = Store::open(Some(&link), LIMITS).expect("a folder");
    fs::remove_file(&link).expect("the link");
    std::os::unix::fs::symlink(&other, &link).expect("a link");
    let file = written(&store, b"a");
    store.put(&file).expect("an object");
    assert_eq!(store.bytes(&file.id).parent(), Some(&*own.canonicalize().expect("the folder")));
    assert!(store.get::<FileObject>(&file.id).is_some() && own.join(format!("{}.json", file.id)).exists());
    assert_eq!(fs::read_dir(&other).expect("a folder").count(), 0);
    fs::remove_file(link).and_then(|()| fs::remove_dir_all(root)).expect("they were there");
}

#[test]
fn ids_lead_nowhere_outside_of_the_folder() {
    let Temporary(store) = &store();
    let outside = unused();
    fs::create_dir(&outside).expect("a folder");
    let victim = outside.join("victim.jsonl");
    fs::write(&victim, "kept").expect("a file");
    let id = format!("file-/../../{}/victim", outside.file_name().expect("a name").display());
    assert!(store.get::<FileObject>(&id).is_none());
    // Another program has written an object whose id is a path, and which has expired.
    let mut planted = FileObject::new("", "a.jsonl", "batch");
    let name = std::mem::replace(&mut planted.id, id);
    planted.expires_at = Some(0);
    fs::write(store.path(&name), json!(planted).to_string()).expect("a file");
    fs::create_dir(store.folder.join("file-")).expect("a folder");
    store.remove_expired();
    assert!(store.get::<FileObject>(&name).is_none() && victim.exists());
    fs::remove_dir_all(outside).expect("it was there");
}
