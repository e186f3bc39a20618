//! Assembly of shaders: the effect of directives, and reports of faults.

#[allow(dead_code, unreachable_pub, reason = "the crate uses the rest of it")]
#[path = "../../../src/shader/syntax.rs"]
mod syntax;

use ocelli::shader::Shader;

/// The files that a shader consists of, by path.
pub(crate) fn files(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| line.strip_prefix("// "))
}

fn fault_in(text: &str) -> (usize, String) {
    let found = syntax::parse(text, &|name| name == "half").expect_err("a fault");
    (found.line, found.reason)
}

#[test]
fn faults_are_reported_with_their_line() {
    let of = |line: usize, reason: &str| (line, reason.to_owned());
    assert_eq!(fault_in("\n//: wehn NORM\n//: end\n"), of(2, "unknown directive `wehn NORM`"));
    assert_eq!(fault_in("//: each r\n//: end\n"), of(1, "unknown directive `each r`"));
    assert_eq!(fault_in("//: const NORM=one\n"), of(1, "`one` is no number"));
    assert_eq!(fault_in("//: const NORM = 1\n"), of(1, "`=` is no constant"));
    assert_eq!(fault_in("let a = 1; //: const NORM\n"), of(1, "unknown directive `const NORM`"));
    assert_eq!(fault_in("\n\n//: each r 4\nlet a$r = 1;\n"), of(3, "`each r 4` is never closed"));
    assert_eq!(fault_in("//: each r 4\n//: else\n//: end\n"), of(1, "`each r 4` is never closed"));
    assert_eq!(fault_in("//: end\n"), of(1, "`end` closes nothing"));
    assert_eq!(fault_in("//: use halve\n"), of(1, "there is no file halve.wgsl"));
    assert_eq!(fault_in("//: const ROWS\nlet a = $ROSW;\n"), of(2, "nothing in this file declares `$ROSW`"));
    assert_eq!(fault_in("//: when NORM\n//: end\n"), of(1, "nothing in this file declares `NORM`"));
    assert_eq!(fault_in("//: each r ROWS\n//: end\n"), of(1, "nothing in this file declares `ROWS`"));
    assert_eq!(fault_in("//: each r 2\n//: end\nlet a$r = 1;\n"), of(3, "nothing in this file declares `$r`"));
    assert_eq!(fault_in("let a$r = 1; //: each r 2\nlet b$r = 1;\n"), of(2, "nothing in this file declares `$r`"));
}

#[test]
fn names_after_a_dollar_become_numbers() {
    let number = |name: &str| ["r", "c", "ROWS"].iter().position(|known| *known == name).ok_or(());
    assert_eq!(syntax::filled("let a$r_$c = x[$ru + $ROWS];", number), Ok("let a0_1 = x[0u + 2];".into()));
    assert_eq!(syntax::filled("let a$b = 1;", number), Err(()));
}

fn fault_of(shader: &Shader) -> String {
    shader.source().expect_err("a fault").to_string()
}

#[test]
fn a_constant_without_a_value_is_told_with_file_and_line() {
    let said = fault_of(&Shader::new("attention_join").set("GATED", 0));
    assert!(said.contains("shaders/attention_join.wgsl:3: HEAD_DIM4 has no value"), "{said}");
}

#[test]
fn a_value_that_nothing_declares_is_told_with_the_file() {
    let said = fault_of(&Shader::new("attention_join").set_all([("HEAD_DIM4", 4), ("GATED", 0), ("HEAD_DIM", 16)]));
    assert!(said.contains("shaders/attention_join.wgsl: nothing declares HEAD_DIM"), "{said}");
}

fn rope_append() -> Shader {
    let values = [("VALUES_NORMED", 0), ("VALUES_ARE_KEYS", 0)];
    let shader = Shader::new("rope_append").set_all([("HEAD_DIM4", 4), ("LOADS", 1), ("SHARED_SCALE", 1), ("NORM", 0)]);
    shader.set("ROPES", 1).set_all(values)
}

#[test]
fn a_file_that_does_not_exist_or_is_not_chosen_is_told() {
    let said = fault_of(&rope_append());
    assert!(said.contains("shaders/rope_append.wgsl:7: no file is chosen for CACHE"), "{said}");
    let said = fault_of(&rope_append().choose("CACHE", "cache_f8"));
    assert!(said.contains("shaders/rope_append.wgsl:7: there is no file cache_f8.wgsl"), "{said}");
    assert!(fault_of(&Shader::new("no_kernel")).contains("there is no file no_kernel.wgsl"));
}

#[test]
fn bindings_are_counted_on_from_the_kernels_own() {
    let text = rope_append().choose("CACHE", "cache_int8").source().expect("a shader");
    let number = |line: &str| line.split_once("@binding(")?.1.split_once(')')?.0.parse().ok();
    let found: Vec<usize> = text.lines().filter_map(number).collect();
    assert_eq!(found, [0, 1, 2, 3, 4, 5]);
    let shared =
        ["cache_int8", "round_f16", "step_buffer", "query_layout"].map(|name| format!("shaders/shared/{name}.wgsl"));
    assert!(files(&text).eq(["shaders/rope_append.wgsl"].into_iter().chain(shared.iter().map(String::as_str))));
}
