//! Room, lifetimes and paths of stored files.

use serde_json::{Value, json};

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
    let file = written(store, b"four");
    let take = |id: &str, bytes| store.take_room((id, ""), bytes);
    assert!(take("file-a", 6) && !take("file-a", 5) && take(&file.id, 4) && !take("file-a", 1));
    store.put(&file).expect("an object");
    store.remove(&file.id);
    assert!(!take("file-a", 5) && take("file-a", 4));
}

#[test]
fn an_upload_that_ends_early_returns_all_of_its_room() {
    let Temporary(store) = &store();
    let file = written(store, b"four");
    // Six of the counted bytes are not written.
    assert!(store.take_room((&file.id, ""), 10));
    store.remove(&file.id);
    assert!(store.take_room(("file-a", ""), 10) && !store.bytes(&file.id).exists());
}

/// One key cannot take the places and the bytes of others.
#[test]
fn a_key_has_a_part_of_the_limits() {
    let Temporary(store) = &Temporary(Arc::new(Store::open(None, Limits { bytes: 40, objects: 8 }).expect("a folder")));
    assert!(store.take_place("ann").is_ok() && store.take_place("ann").is_ok());
    let full = store.take_place("ann").expect_err("a full part");
    assert!(full.body.contains("there are 2 files and batches, of at most 2"), "{}", full.body);
    assert!(store.take_place("bob").is_ok() && store.take_place("").is_ok());
    store.return_place("ann");
    assert!(store.take_place("ann").is_ok());
    assert!(store.take_room(("file-a", "ann"), 10) && !store.take_room(("file-b", "ann"), 1));
    assert!(store.take_room(("file-c", "bob"), 10) && store.take_room(("file-d", ""), 20));
    store.remove("file-a");
    assert!(store.take_room(("file-b", "ann"), 10));
}

#[test]
fn what_a_killed_server_began_to_write_is_removed() {
    let folder = unused();
    let opened = || Store::open(Some(&folder), LIMITS).expect("a folder");
    let store = opened();
    let [kept, begun] = [b"ab", b"cd"].map(|bytes| written(&store, bytes));
    store.put(&kept).expect("an object");
    let others = ["my-data.jsonl", "file-1.jsonl", "batch_a.part", "notes.json"].map(|name| folder.join(name));
    let parts = [format!("{}.part", kept.id), format!("{}.jsonl.attempt", begun.id)].map(|name| folder.join(name));
    for path in others.iter().chain(&parts[1..]) {
        fs::write(path, "x").expect("a file");
    }
    // Its description cannot be read, and may be repaired.
    let damaged = written(&store, b"ef");
    fs::write(store.path(&damaged.id), "{").expect("a file");
    drop(store);
    let store = opened();
    assert!(!store.bytes(&begun.id).exists() && !parts[1].exists());
    assert!(store.bytes(&kept.id).exists() && store.bytes(&damaged.id).exists());
    assert!(others.iter().all(|path| path.exists()), "files of others");
    assert_eq!(store.all::<FileObject>().len(), 1);
    assert!(store.take_room(("file-a", ""), 8) && !store.take_room(("file-a", ""), 1));
    fs::remove_dir_all(folder).expect("it was there");
}

/// A list is that of the folder, also after it is opened again, and reads no files.
#[test]
fn lists_have_pages_of_what_a_sender_may_read() {
    let folder = unused();
    let opened = || Store::open(Some(&folder), Limits { bytes: 10, objects: 5000 }).expect("a folder");
    let store = opened();
    let mut files: Vec<FileObject> =
        (0..7).map(|number| FileObject::new(if number % 2 == 0 { "ann" } else { "bob" }, "a.jsonl", "batch")).collect();
    for (file, created) in files.iter_mut().zip(1..) {
        file.created_at = created;
        store.put(file).expect("an object");
    }
    let [ann, all] = [("ann", false), ("root", true)].map(|(name, is_admin)| Caller {
        name: name.into(),
        is_named: true,
        is_admin,
        ..Caller::default()
    });
    let list = |store: &Store, caller: &Caller, query: &str| -> (Vec<u64>, Value) {
        let page = store.page::<FileObject>(caller, (Some(query), 20)).expect("a page").json(&|_| None);
        let page: Value = serde_json::from_str(&page).expect("JSON");
        let data = page["data"].as_array().expect("a list");
        assert_eq!(
            [&page["first_id"], &page["last_id"]],
            [data.first(), data.last()].map(|one| &one.expect("one")["id"])
        );
        (data.iter().map(|file| file["created_at"].as_u64().expect("a time")).collect(), page["has_more"].clone())
    };
    let after = |number: usize| format!("limit=2&after={}", files[number - 1].id);
    let check = |store: &Store| {
        assert_eq!(list(store, &ann, ""), (vec![7, 5, 3, 1], json!(false)));
        assert_eq!(list(store, &ann, "limit=2"), (vec![7, 5], json!(true)));
        assert_eq!(list(store, &ann, &after(5)), (vec![3, 1], json!(false)));
        assert_eq!(list(store, &all, &after(7)), (vec![6, 5], json!(true)));
    };
    check(&store);
    drop(store);
    let store = opened();
    check(&store);
    let refused = |query: &str| store.page::<FileObject>(&ann, (Some(query), 20)).err().map(|reply| reply.status);
    assert_eq!(["limit=0", "limit=x", "after=file-0", &*after(6)].map(refused), [Some(400); 4]);
    fs::remove_dir_all(&folder).expect("it was there");
    assert_eq!(list(&store, &ann, "limit=2"), (vec![7, 5], json!(true)), "it needs no folder");
}

#[test]
fn a_page_of_many_objects_ends_before_it_is_large() {
    let Temporary(store) =
        &Temporary(Arc::new(Store::open(None, Limits { bytes: 10, objects: 5000 }).expect("a folder")));
    {
        let mut index = store.index();
        for number in 0..3000 {
            let file = FileObject { id: format!("file-{number}"), ..FileObject::new("", &"a".repeat(500), "batch") };
            assert_eq!(file.filename.len(), 255);
            assert!(index.set(&file.id, &json!(file).to_string()));
        }
    }
    let page = store.page::<FileObject>(&Caller::unnamed(""), (None, 10_000)).expect("a page").json(&|_| None);
    assert!(page.len() < 300 << 10 && page.contains("\"has_more\":true"), "{}", page.len());
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
    assert!(!store.take_room(("file-a", ""), 3) && store.take_room(("file-a", ""), 2));
    fs::remove_dir_all(folder).expect("it was there");
}

#[test]
fn objects_are_bounded_and_those_that_expire_make_room() {
    let Temporary(store) = &store();
    let mut files = [written(store, b"a"), written(store, b"b")];
    for file in &mut files {
        file.expires_at = Some(api::seconds() + 3600);
        store.take_place("").expect("a place");
        store.put(file).expect("an object");
    }
    let full = store.take_place("").expect_err("a full store");
    let told: Value = serde_json::from_str(&full.body).expect("JSON");
    let message = "there are 2 files and batches, of at most 2: delete others";
    assert_eq!((full.status, &told["error"]["code"]), (413, &json!("storage_full")));
    assert!(told["error"]["message"].as_str().is_some_and(|told| told.contains(message)), "{told}");
    // An object that is written again takes no more.
    files[0].expires_at = Some(api::seconds() - 1);
    store.put(&files[0]).expect("an object");
    store.take_place("").expect("the place of the expired file");
    assert!(store.take_place("").is_err());
    store.return_place("");
    store.remove(&files[1].id);
    // It is removed once.
    store.remove(&files[1].id);
    assert!(store.take_place("").is_ok() && store.take_place("").is_ok() && store.take_place("").is_err());
}

#[test]
fn objects_of_an_opened_folder_are_counted() {
    let folder = unused();
    let opened = || Store::open(Some(&folder), LIMITS).expect("a folder");
    let store = opened();
    store.put(&written(&store, b"a")).expect("an object");
    drop(store);
    let store = opened();
    assert!(store.take_place("").is_ok() && store.take_place("").is_err());
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
    let folder = unused();
    private_folder(&folder).expect("a folder");
    let mut planted = FileObject::new("", "a.jsonl", "batch");
    let name = std::mem::replace(&mut planted.id, id);
    planted.expires_at = Some(0);
    fs::write(folder.join(format!("{name}.json")), json!(planted).to_string()).expect("a file");
    fs::create_dir(folder.join("file-")).expect("a folder");
    let store = Store::open(Some(&folder), LIMITS).expect("a folder");
    assert!(store.get::<FileObject>(&name).is_none() && victim.exists());
    for folder in [outside, folder] {
        fs::remove_dir_all(folder).expect("it was there");
    }
}
