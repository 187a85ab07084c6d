use crate::config::{de::*, tests::everything};

#[derive(Debug, serde::Deserialize)]
struct Application {
    session: SessionOptions,
}

/// The message for the same value in TOML and in JSON, each within an application's own file.
fn messages(key: &str, toml: &str, json: &str) -> [String; 2] {
    let toml = format!("[session]\n{key} = {toml}\n");
    let json = format!(r#"{{"session": {{"{key}": {json}}}}}"#);
    [
        toml::from_str::<Application>(&toml).unwrap_err().to_string(),
        serde_json::from_str::<Application>(&json).unwrap_err().to_string(),
    ]
}

#[test]
fn deserialized_options_contain_every_setting() {
    let toml = r#"
        [session]
        inactivity_timeout = "1h30m"
        maximum_lifetime = "off"
        renew_after = "90s"
        multi_session = true
        sign_in_url = "https://accounts.example.com/sign-in"
        after_sign_out_url = "/"
        after_multi_session_single_sign_out_url = "/bye"
        origin = "https://app.example.com"
        allowed_redirect_origins = ["https://a.example", "https://b.example"]
        tasks_url = "/steps"
        reverify_url = "/confirm"
        not_before = "2026-11-23T22:00:00Z"
        copied_cookies = "step_up"
        copied_cookies_grace = "5s"
        device_bound = "required"
        bound_for = "20m"
        binding_tolerance = "30s"
    "#;
    let json = r#"{"session": {
        "inactivity_timeout": "1h30m",
        "maximum_lifetime": "off",
        "renew_after": "90s",
        "multi_session": true,
        "sign_in_url": "https:\/\/accounts.example.com\/sign-in",
        "after_sign_out_url": "/",
        "after_multi_session_single_sign_out_url": "/bye",
        "origin": "https://app.example.com",
        "allowed_redirect_origins": ["https://a.example", "https://b.example"],
        "tasks_url": "/steps",
        "reverify_url": "/confirm",
        "not_before": "2026-11-23T22:00:00Z",
        "copied_cookies": "step_up",
        "copied_cookies_grace": "5s",
        "device_bound": "required",
        "bound_for": "20m",
        "binding_tolerance": "30s"
    }}"#;
    assert_eq!(toml::from_str::<Application>(toml).unwrap().session, everything());
    assert_eq!(serde_json::from_str::<Application>(json).unwrap().session, everything());
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let application: Application = serde_json::from_value(value).unwrap();
    assert_eq!(application.session, everything());
}

#[test]
fn deserialized_options_without_keys_are_the_default() {
    assert_eq!(toml::from_str::<SessionOptions>("").unwrap(), SessionOptions::default());
    assert_eq!(serde_json::from_str::<SessionOptions>("{}").unwrap(), SessionOptions::default());
    let none = toml::from_str::<SessionOptions>("allowed_redirect_origins = []").unwrap();
    assert_eq!(none, SessionOptions::default().allowed_redirect_origins([""; 0]));
}

#[test]
fn deserialization_error_names_key_value_and_remedy() {
    let limit = "write a string: `off`, or whole numbers with a unit each (w, d, h, m, s), \
                 largest first, such as 7d, 90s or 1h30m";
    let list = "write a list of strings, such as [\"https://accounts.example.com\"]";
    for (key, value, shown, wrong, allowed) in [
        ("inactivity_timeout", "604800", "604800", "a number has no unit", limit),
        ("inactivity_timeout", "-1", "-1", "a number has no unit", limit),
        ("inactivity_timeout", "1.5", "1.5", "a number has no unit", limit),
        ("maximum_lifetime", r#""604800""#, "604800", "a number has no unit", limit),
        ("maximum_lifetime", r#""7 days""#, "7 days", "it is not a duration", limit),
        ("maximum_lifetime", "false", "false", "it is not a string", limit),
        ("maximum_lifetime", "[1, [\"d\"]]", "[1, [d]]", "it is not a string", limit),
        ("inactivity_timeout", r#""""#, "", "it is empty (leave it out for the default)", limit),
        ("renew_after", r#""off""#, "off", "it is not a duration", "write a string: whole"),
        ("renew_after", "60", "60", "a number has no unit", "write a string: whole numbers"),
        ("multi_session", r#""on""#, "on", "it is not a boolean", "write true or false"),
        ("multi_session", "1", "1", "it is not a boolean", "write true or false"),
        ("sign_in_url", "false", "false", "it is not a string", "write a string: a path or a"),
        ("origin", "8080", "8080", "it is not a string", "write a string: this application's"),
        ("allowed_redirect_origins", r#""a, b""#, "a, b", "it is not a list of strings", list),
        ("allowed_redirect_origins", r#"["a", 5]"#, "[a, 5]", "it is not a list of strings", list),
        ("allowed_redirect_origins", r#"["a", ""]"#, "[a, ]", "one of its items is empty", list),
    ] {
        for message in messages(key, value, value) {
            let expected = format!("{key} = {shown:?}: {wrong}; {allowed}");
            assert!(message.contains(&expected), "{message}\n{expected}");
        }
    }
}

#[test]
fn value_specific_to_one_format_is_rejected() {
    for (key, value) in
        [("sign_in_url", "null"), ("maximum_lifetime", "null"), ("origin", r#"{"a": null}"#)]
    {
        let [_, message] = messages(key, "1", value);
        assert!(message.contains(key) && message.contains("write a string"), "{message}");
    }
    let [message, _] = messages("inactivity_timeout", "01:00:00", "1");
    assert!(message.contains("(a table, date or time)"), "{message}");
    let twice = r#"{"multi_session": true, "multi_session": false}"#;
    let message = serde_json::from_str::<SessionOptions>(twice).unwrap_err().to_string();
    assert!(message.contains("multi_session = \"false\": it is given twice"), "{message}");
    let message = serde_json::from_str::<SessionOptions>("7").unwrap_err().to_string();
    assert!(message.contains("expected session settings by name (inactivity"), "{message}");
}

#[test]
fn unknown_key_error_suggests_and_lists_allowed_keys() {
    for (key, meant) in [
        ("inactivty_timeout", "; did you mean inactivity_timeout?"),
        ("afterMultiSessionSingleSignOutUrl", "; did you mean after_multi_session_single_sign"),
        ("sign-in-url", "; did you mean sign_in_url?"),
        ("multi", "; did you mean multi_session?"),
    ] {
        for message in messages(key, r#""7d""#, r#""7d""#) {
            let expected = format!("{key} = \"7d\": it is not a setting{meant}");
            assert!(message.contains(&expected), "{message}");
            assert!(message.contains("allowed are inactivity_timeout, maximum_lifetime, renew"));
        }
    }
}

#[test]
fn unknown_key_error_hides_the_value_of_a_secret() {
    for secret in [r#""hunter2""#, r#"["hunter2"]"#] {
        for message in messages("secret", secret, secret) {
            assert!(message.contains("secret = \"(not shown)\": it is not a sett"), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
    let [_, message] = messages("port", "8080", "8080");
    assert!(message.contains("port = \"8080\": it is not a setting; allowed"), "{message}");
}

#[test]
fn deserialization_error_reports_all_invalid_keys() {
    let toml = "renew_after = 60\nmulti_session = 1\nlifetime = \"7d\"\norigin = \"x\"";
    let message = toml::from_str::<SessionOptions>(toml).unwrap_err().to_string();
    assert!(
        message.contains("3 problems:\n") && message.contains("\n  renew_after = \"60\""),
        "{message}"
    );
    assert!(message.contains("\n  multi_session = \"1\""), "{message}");
    assert!(message.contains("\n  lifetime = "), "{message}");
}
