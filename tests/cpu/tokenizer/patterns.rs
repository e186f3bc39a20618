//! Patterns in the form for browsers. `tokenizer.test.ts` shows that they split text as the library does.

use ocelli::chat::pattern::javascript::translate;

#[test]
fn patterns_are_spelled_for_browsers() {
    for (pattern, spelled) in [
        (r"\s+(?!\S)|\s+", r"\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+"),
        (r"(?i:'s|'t)", r"(?:\u{27}[sSſ]|\u{27}[tT])"),
        (r"[^\r\n\p{L}\p{N}]?\p{L}+", "[^\\u{d}\\u{a}\\p{L}\\p{N}]?\\p{L}+"),
        (r"\p{N}{1,3}| ?[^\s\p{L}]+", r"\p{N}{1,3}|\u{20}?[^\p{White_Space}\p{L}]+"),
        // Atomic: once matched, never tried again.
        (r"[a-z]?+\d++", r"(?:(?=(?<a0>[a-z]?))\k<a0>)(?:(?=(?<a1>\p{Nd}+))\k<a1>)"),
        (r"(?>ab|a)c", r"(?:(?=(?<a0>ab|a))\k<a0>)c"),
        (r"(a|b)*?(?<=c)(?<!d)", "(?:a|b)*?(?<=c)(?<!d)"),
        (r"\p{Han}\pL\P{^Lu}\p{Script=Greek}", r"\p{Script=Han}\p{L}\p{Lu}\p{Script=Greek}"),
        (r"[\p{Lu}\p{M}&&[^\p{Han}]]", r"[[\p{Lu}\p{M}]&&[[^\p{Script=Han}]]]"),
        (r"[-a\-z-][]x][!-/]", r"[\u{2d}a\u{2d}z\u{2d}][\u{5d}x][\u{21}-\u{2f}]"),
        (r".\x41\x{1F600}\u0042\w", "[^\\n]A\u{1f600}B[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]"),
        (r"^\A一$\z]", r"^^一$$\u{5d}"),
        (r"a(?i)k(?-i:k)", "a[kK\u{212a}](?:k)"),
    ] {
        assert_eq!(translate(pattern).as_deref(), Ok(spelled), "{pattern}");
    }
}

#[test]
fn patterns_that_browsers_cannot_run_are_refused() {
    for (pattern, part) in [
        ("(a", "without its )"),
        ("a)", "without its ("),
        ("[a", "without its ]"),
        ("*a", "nothing to repeat"),
        (r"a\", "at the end"),
        (r"\bword\b", r"\b"),
        (r"(a)\1", r"\1"),
        ("(?x: a )", "of this kind"),
        ("(?<name>a)", "of this kind"),
        ("(a+)+", "repetition within"),
        ("(?:(?:a{2,}b)c)*", "repetition within"),
        ("a{,3}", "counts nothing"),
        ("a{1", "counts nothing"),
        ("[[:alpha:]]", "[:"),
        ("[a--b]", "--"),
        ("[z-a]", "range"),
        (r"[a-\d]", "range"),
        ("(?i:[a-z])", "either case"),
        ("(?i:é)", "either case"),
        (r"(?i:\p{Lu})", "either case"),
        (r"\p{L", "name of a property"),
        (r"\x{110000}", "character"),
    ] {
        let refused = translate(pattern).expect_err(pattern);
        assert!(refused.contains(part), "{pattern}: {refused}");
    }
    assert!(translate(&"(".repeat(4000)).is_err());
    assert!(translate(&"[".repeat(4000)).is_err());
}
