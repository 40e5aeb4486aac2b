//! The rules of the house, as an ordinary test. Its failures say where, what and what to do.
//!
//! ```text
//!  repository --tree--> files --rust_source--> code and comments apart
//!                         |
//!                         +--each rule--> findings: path:line: what        none, or the test fails
//! ```
//!
//! | module | rules about |
//! |---|---|
//! | `imports` | who may depend on whom, what core may not know, where `unsafe` may stand |
//! | `layout` | what lies at the top, files that nothing declares, names, module docs |
//! | `size` | length of files, functions and lines; what is longer may only shrink |
//! | `text` | unfinished work, paths of one machine, typography |
//! | `citations` | sections of protocol.md, links, the README's commands |
//!
//! Every rule brings samples: trees that it must object to, and trees that it must let pass. A rule that can't fail
//! can't be written down.

mod tidy {
    mod citations;
    mod imports;
    mod layout;
    mod manifest;
    mod rule;
    mod rust_source;
    mod size;
    mod text;
    mod tree;

    use rule::{Findings, Rule};
    use tree::Tree;

    const RULES: [&[Rule]; 5] = [imports::RULES, layout::RULES, size::RULES, text::RULES, citations::RULES];

    fn rules() -> impl Iterator<Item = &'static Rule> {
        RULES.iter().copied().flatten()
    }

    #[test]
    fn the_house_is_tidy() {
        let tree = Tree::of_repository();
        let mut report = String::new();
        for rule in rules() {
            let findings = rule.findings(&tree);
            if !findings.is_empty() {
                report.push_str(&format!("\n{}\n  what to do: {}\n{findings}", rule.name, rule.remedy));
            }
        }
        assert!(report.is_empty(), "the house is not tidy:\n{report}");
    }

    #[test]
    fn every_rule_objects_to_its_bad_samples() {
        for rule in rules() {
            assert!(!rule.bad.is_empty(), "{:?} has no bad sample: nobody knows whether it can fail", rule.name);
            for sample in rule.bad {
                let findings = rule.findings(&Tree::of_sample(sample));
                assert!(!findings.is_empty(), "{:?} lets pass what it should not: {sample:#?}", rule.name);
            }
        }
    }

    #[test]
    fn every_rule_lets_its_good_samples_pass() {
        for rule in rules() {
            assert!(!rule.good.is_empty(), "{:?} has no good sample: nobody knows whether it can pass", rule.name);
            for sample in rule.good {
                let findings: Findings = rule.findings(&Tree::of_sample(sample));
                assert!(findings.is_empty(), "{:?} objects to what is good:\n{findings}{sample:#?}", rule.name);
            }
        }
    }
}
