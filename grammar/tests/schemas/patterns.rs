//! JavaScript's patterns in the matcher's syntax.

use ocelli_grammar::pattern::to_rust;

fn one(pattern: &str) -> String {
    let all = to_rust(pattern).expect(pattern);
    assert_eq!(all.len(), 1, "{pattern}");
    all.into_iter().next().expect("one")
}

#[test]
fn what_differs_in_javascript_is_spelled_out() {
    assert_eq!(one(r"^\d{2,3}$"), "^[0-9]{2,3}$");
    assert_eq!(one("a.b"), r"a[^\n\r\x{2028}\x{2029}]b");
    assert_eq!(one(r"[\w-]"), r"[0-9A-Za-z_\x{2d}]");
    assert_eq!(one("[[a&&b]"), r"[\x{5b}\x{61}\x{26}\x{26}\x{62}]");
    assert_eq!(one(r"\/x{y}\u0041"), r"\x{2f}x\x{7b}y\x{7d}A");
    assert_eq!(one("(?<year>a)|[^]"), r"(a)|[\x{0}-\x{10ffff}]");
    assert_eq!(one(r"\ud83d\ude00"), r"\x{1f600}");
}

#[test]
fn look_ahead_at_the_beginning_is_an_expression_of_its_own() {
    let all = to_rust(r"^(?=.*[A-Z])(?=.*\d).{8,}$").expect("a pattern");
    assert_eq!(all.len(), 3);
    assert!(all[0].starts_with("^(?:") && all[2].ends_with("{8,}$"), "{all:?}");
}

#[test]
fn what_cannot_be_enforced_is_refused() {
    for pattern in
        [r"\bword", r"(a)\1", "^(?!x)y", "(?<=a)b", "x(?=y)", "[b-a]", "(?=a", "a{1001}", r"\ud83d", "[", "\\"]
    {
        assert!(to_rust(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn the_second_half_of_a_surrogate_pair_is_checked() {
    for pattern in [r"\ud800\u{ffffffff}", r"\ud800\u0041", r"\ud800\ue000"] {
        assert_eq!(to_rust(pattern), Err("half a surrogate pair".into()), "{pattern}");
    }
    assert_eq!(one(r"\udbff\udfff"), r"\x{10ffff}");
}
