//! Loops and exponentials of all shaders: each loop counts to a bound and each exponential is finite, whatever a fault of a driver leaves in
//! memory. A GPU that does not finish is lost, and a number that is not finite never leaves a recurrent state.

use std::collections::BTreeSet;

use ocelli::shader::FILES;

/// The largest argument of an exponential: division by more than 2^126 may give anything, and e^80 is 2^115.
const LARGEST: f32 = 80.0;

/// Arguments that need no bound, by file. None of them is positive.
const NEVER_POSITIVE: [(&str, &str); 10] = [
    ("activations", "-x * x"),
    // Less the largest.
    ("attention", "peak$h - top$h"),
    ("attention", "score$h_$i - top$h"),
    ("attention_join", "share$n.x - peak"),
    ("attention_step", "before$f - rows4[$f]"),
    ("attention_step", "score$r_$n - rows4[$ru / 4u][$ru % 4u]"),
    ("attention_tile", "(peak$h - top$h) * p.scale"),
    ("attention_tile", "(score$h_$i - top$h) * p.scale"),
    ("logits", "(x - largest) / p.temperature"),
    // A negative rate times what is at least 0.
    ("delta_scan", "rate[head] * select(a, log(1.0 + exp(min(a, 20.0))), a <= 20.0)"),
];

/// Text up to the parenthesis or brace that closes it.
fn closed(text: &str) -> Option<&str> {
    let mut depth = 0;
    let end = text.find(|character| {
        depth += i32::from("({".contains(character)) - i32::from(")}".contains(character));
        depth < 0
    })?;
    Some(&text[..end])
}

/// Arguments of the calls of a function.
fn arguments<'a>(text: &'a str, function: &str) -> Vec<&'a str> {
    let call = format!("{function}(");
    let is_own_name = |at: usize| !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let calls = text.match_indices(&call).filter(|(at, _)| is_own_name(*at));
    calls.filter_map(|(at, _)| closed(&text[at + call.len()..])).collect()
}

/// Returns true for `min(.., bound)` with a number as its bound.
fn is_bounded(argument: &str) -> bool {
    let inner = argument.strip_prefix("min(").filter(|rest| closed(rest).map(str::len) == Some(rest.len() - 1));
    let bound = inner.and_then(|inner| inner.strip_suffix(')')?.rsplit_once(", "));
    bound.is_some_and(|(_, bound)| {
        let number = bound.strip_prefix("vec4f(").and_then(|bound| bound.strip_suffix(')')).unwrap_or(bound);
        number.parse().is_ok_and(|number: f32| number <= LARGEST)
    })
}

/// Text without comments and directives, which end lines.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect()
}

/// The reason why a loop might not end, by its head and what comes after that.
fn endless(head: &str, rest: &str) -> Option<&'static str> {
    let Some(parts) = head.strip_prefix("for (var ") else {
        // Counts down: `while at > 0u && .. { .. at--; .. }`.
        let counter = head.strip_prefix("while ").and_then(|condition| condition.split_once(" > 0u &&"));
        let Some((counter, _)) = counter else { return Some("its condition counts nothing") };
        let body = closed(rest).unwrap_or_default();
        return (!body.contains(&format!("{counter}--;"))).then_some("its counter is not lowered");
    };
    let parts: Vec<_> = parts.trim_end_matches(')').split("; ").collect();
    let [start, condition, step] = parts[..] else { return Some("it is no `for` of three parts") };
    let counter = start.split(' ').next().unwrap_or_default();
    let compares = |sign| condition.starts_with(&format!("{counter} {sign} "));
    let rises = step == format!("{counter}++") || step.starts_with(&format!("{counter} += "));
    let is_halved = step == format!("{counter} >>= 1u") && condition == format!("{counter} > 0u");
    (!is_halved && !(rises && (compares("<") || compares("<=")))).then_some("its counter has no bound")
}

/// The loops of a text that might not end, by line, and the number of all loops.
fn endless_loops(text: &str) -> (Vec<String>, usize) {
    let (mut faults, mut count) = (Vec::new(), 0);
    let code = code(text);
    let mut from = 0;
    for (number, line) in (1..).zip(code.lines()) {
        from += line.len() + 1;
        let head = line.trim();
        if ["for ", "while ", "loop "].iter().any(|word| head.starts_with(word)) {
            count += 1;
            let head = head.strip_suffix(" {").unwrap_or(head);
            faults.extend(endless(head, &code[from..]).map(|reason| format!("{number}: {head}: {reason}")));
        }
    }
    (faults, count)
}

#[test]
fn every_loop_counts_to_a_bound() {
    let mut loops = 0;
    for file in FILES {
        let (faults, count) = endless_loops(file.text);
        assert_eq!(faults, [""; 0], "{}", file.path);
        loops += count;
    }
    assert!(loops > 80, "{loops} loops");
    for (text, reason) in [
        ("while workgroupUniformLoad(&searching) == 1u {\n  }\n", "its condition counts nothing"),
        ("while less(bin(at), wanted) {\n    at--;\n  }\n", "its condition counts nothing"),
        ("while at > 0u && less(bin(at), wanted) {\n  }\n  at--;\n", "its counter is not lowered"),
        ("for (var i = 0u; searching == 1u; i++) {\n  }\n", "its counter has no bound"),
        ("for (var i = 0u; i < 4u; j++) {\n  }\n", "its counter has no bound"),
        ("loop {\n  }\n", "its condition counts nothing"),
    ] {
        let (faults, _) = endless_loops(text);
        assert!(faults.len() == 1 && faults[0].ends_with(reason), "{text}: {faults:?}");
    }
}

#[test]
fn every_exponential_is_finite() {
    let mut met = BTreeSet::new();
    for file in FILES {
        let code = code(file.text);
        let all = ["exp", "exp2"].into_iter().flat_map(|function| arguments(&code, function));
        for argument in all.filter(|argument| !is_bounded(argument)) {
            let exception = NEVER_POSITIVE.into_iter().find(|known| *known == (file.name, argument));
            met.insert(exception.unwrap_or_else(|| panic!("{}: exp({argument}) has no bound", file.path)));
        }
    }
    assert_eq!(met, BTreeSet::from(NEVER_POSITIVE), "exceptions");
    for (argument, bounded) in [
        ("min(-x, 80.0)", true),
        ("min(-q[min(i, 4)], vec4f(80.0))", true),
        ("-x", false),
        ("min(-x, 100.0)", false),
        ("min(-x, y)", false),
        ("min(x, 80.0) * min(y, 80.0)", false),
    ] {
        assert_eq!(is_bounded(argument), bounded, "{argument}");
    }
}
