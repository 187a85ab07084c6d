//! Several accounts in one browser, rule by rule.
