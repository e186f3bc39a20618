//! `ocelli pull` of models with the same name: a name stands for one source, and the ids of known models for theirs.

use std::fs;
use std::path::{Path, PathBuf};

use super::command::{ocelli, text};
use super::common::{Scratch, checkpoint_dir};
use super::pull::{Server, command, pull, weights};

/// Puts a checkpoint into a repository below `root`, at a revision.
fn publish(root: &Path, repository: &str, revision: &str) {
    let folder = root.join(repository).join("resolve").join(revision);
    fs::create_dir_all(&folder).expect("a folder");
    for file in fs::read_dir(checkpoint_dir("untied")).expect("a folder") {
        let file = file.expect("an entry");
        if file.path().is_file() {
            fs::copy(file.path(), folder.join(file.file_name())).expect("a file");
        }
    }
}

/// Folder of a model in the cache.
fn model(cache: &Scratch, id: &str) -> PathBuf {
    cache.0.join("ocelli/models").join(id)
}

/// The second model was said to be "here", and the first one was opened.
#[test]
fn a_model_is_not_taken_for_one_of_the_same_name_from_another_source() {
    let (root, cache) = (Scratch::new(), Scratch::new());
    for (repository, revision) in [("o/n", "main"), ("p/n", "main"), ("o/n", "v1")] {
        publish(&root.0, repository, revision);
    }
    let server = Server::start(root.0.clone());
    let at = |path: &str| format!("{}/files/{path}/", server.address);
    let [own, foreign, old] = ["o/n/resolve/main", "p/n/resolve/main", "o/n/resolve/v1"].map(at);
    let first = pull(&cache, &["pull", &own, "--quant", "q8_0"]);
    assert!(first.status.success(), "{}", text(&first.stderr));
    let bytes = weights(&model(&cache, "n"));
    assert!(!server.asked().is_empty());
    for other in [&foreign, &old] {
        let refused = pull(&cache, &["pull", other]);
        assert_eq!(refused.status.code(), Some(2));
        let said = text(&refused.stderr);
        assert!(
            said.contains("error[invalid-request]: --name: \"n\" is the name of a model from another source"),
            "{said}"
        );
        assert!(said.contains("choose another name with --name, or replace it with --force"), "{said}");
    }
    assert!(server.asked().is_empty() && weights(&model(&cache, "n")) == bytes);
    assert!(text(&pull(&cache, &["pull", &own]).stdout).starts_with("n is here: "));
    assert!(pull(&cache, &["pull", &foreign, "--name", "m"]).status.success());
    assert!(text(&pull(&cache, &["pull", &foreign, "--name", "m"]).stdout).starts_with("m is here: "));
    assert!(pull(&cache, &["pull", &foreign, "--force"]).status.success());
    assert!(weights(&model(&cache, "n")) != bytes, "it is replaced");
    assert!(!pull(&cache, &["pull", &own]).status.success(), "the name is the other one's now");
    // Nothing is left of a removed model.
    assert!(pull(&cache, &["rm", "n", "m"]).status.success());
    assert_eq!(fs::read_dir(cache.0.join("ocelli/models")).expect("a folder").count(), 0);
    assert!(pull(&cache, &["pull", &own]).status.success());
}

#[test]
fn ids_of_known_models_are_not_for_others() {
    let (root, cache) = (Scratch::new(), Scratch::new());
    publish(&root.0, "o/Qwen3.5-0.8B", "main");
    let server = Server::start(root.0.clone());
    let url = format!("{}/files/o/Qwen3.5-0.8B/resolve/main/", server.address);
    let (known, own) = (model(&cache, "smolvlm2-256m"), model(&cache, "tiny"));
    fs::create_dir_all(cache.0.join("ocelli/models")).expect("a folder");
    let out = known.to_str().expect("text");
    let attempts: [&[&str]; 5] = [
        &["pull", &url],
        &["pull", &url, "--force"],
        &["pull", &url, "--name", "SmolVLM2-256m"],
        &["pull", "granite-docling-258m", "--name", "smolvlm2-256m"],
        &["pull", &url, "--out", out],
    ];
    for args in attempts {
        let refused = pull(&cache, args);
        let said = text(&refused.stderr);
        assert!(
            refused.status.code() == Some(2) && said.contains("is the id of a known model from another source"),
            "{said}"
        );
    }
    let mut within = command(&cache, &["pull", &url, "--out", "smolvlm2-256m"]);
    let refused = within.current_dir(cache.0.join("ocelli/models")).output().expect("it runs");
    assert!(text(&refused.stderr).contains("is the id of a known model"), "{}", text(&refused.stderr));
    for args in
        [["--name", "x", "--out", "y"], ["--name", "../x", "--json", "--force"], ["--name", ".x", "--json", "--force"]]
    {
        let refused = pull(&cache, &[&["pull", &url], args.as_slice()].concat());
        assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    }
    assert!(server.asked().is_empty());
    assert_eq!(fs::read_dir(cache.0.join("ocelli/models")).expect("a folder").count(), 0);
    let pulled = pull(&cache, &["pull", &url, "--out", own.to_str().expect("text")]);
    assert!(pulled.status.success(), "{}", text(&pulled.stderr));
    assert!(text(&pull(&cache, &["pull", &url, "--name", "tiny"]).stdout).starts_with("tiny is here: "));
}

#[test]
fn the_id_of_a_known_model_opens_that_model_alone() {
    let (root, cache) = (Scratch::new(), Scratch::new());
    // Not pinned, so that any content is accepted.
    let id = "granite-docling-258m";
    publish(&root.0, "ibm-granite/granite-docling-258M", "main");
    let server = Server::start(root.0.clone());
    let hub = format!("{}/files/", server.address);
    let place = model(&cache, id);
    fs::create_dir_all(cache.0.join("ocelli/models")).expect("a folder");
    // A package that came here by another way.
    let packed = ocelli(&[&"pack", &checkpoint_dir("untied"), &"--out", &place]);
    assert!(packed.status.success(), "{}", text(&packed.stderr));
    for args in [["inspect", id], ["describe", id]] {
        let refused = pull(&cache, &[args.as_slice(), &[] as &[&str]].concat());
        let (code, said) = (refused.status.code(), text(&refused.stderr));
        assert!(code == Some(2) && said.contains("is not from the source of the known model"), "{args:?}: {said}");
        assert!(said.contains("`ocelli pull granite-docling-258m --force` replaces it"), "{said}");
    }
    assert_eq!(pull(&cache, &["pull", id]).status.code(), Some(2), "it is not said to be here");
    // Neither is it the only model without a name.
    assert_eq!(pull(&cache, &["serve", "--port", "0"]).status.code(), Some(2));
    assert!(pull(&cache, &["inspect", place.to_str().expect("text")]).status.success(), "its path opens it");
    let mirrored = |args: &[&str]| command(&cache, args).env("HF_ENDPOINT", &hub).output().expect("it runs");
    let pulled = mirrored(&["pull", id, "--force"]);
    assert!(pulled.status.success(), "{}", text(&pulled.stderr));
    // The mirror's model is the hub's, also if only its manifest tells its source.
    let record = cache.0.join("ocelli/models").join(format!(".{id}.source"));
    for is_recorded in [true, false] {
        assert_eq!(record.is_file(), is_recorded);
        let inspected = mirrored(&["inspect", id]);
        assert!(inspected.status.success(), "{}", text(&inspected.stderr));
        assert!(text(&mirrored(&["pull", id]).stdout).starts_with(&format!("{id} is here: ")));
        if is_recorded {
            assert!(pull(&cache, &["inspect", id]).status.success());
            fs::remove_file(&record).expect("the record");
        }
    }
    // A model that is not here is downloaded if that is asked for.
    assert!(mirrored(&["rm", id]).status.success());
    let missing = mirrored(&["inspect", id]);
    assert!(text(&missing.stderr).contains("and so does --pull") && !place.exists(), "{}", text(&missing.stderr));
    let inspected = mirrored(&["inspect", id, "--pull"]);
    assert!(inspected.status.success() && place.exists(), "{}", text(&inspected.stderr));
}
