use std::{ffi::OsString, time::Duration};

use proptest::prelude::*;

use super::env::{EnvOptions, EnvWarning};
use crate::time::Timestamp;
use crate::{config::*, error::ConfigError};

/// Every setting, none at its default.
pub(super) fn everything() -> SessionOptions {
    SessionOptions::default()
        .inactivity_timeout(Duration::from_secs(5_400))
        .maximum_lifetime(None)
        .renew_after(Duration::from_secs(90))
        .multi_session(true)
        .sign_in_url("https://accounts.example.com/sign-in")
        .after_sign_out_url("/")
        .after_multi_session_single_sign_out_url("/bye")
        .origin("https://app.example.com")
        .allowed_redirect_origins(["https://a.example", "https://b.example"])
        .tasks_url("/steps")
        .reverify_url("/confirm")
        .not_before(Timestamp::from_unix_seconds(1_795_471_200))
        .copied_cookies(CopiedCookies::StepUp)
        .copied_cookies_grace(Duration::from_secs(5))
        .device_bound(DeviceBound::Required)
        .bound_for(Duration::from_secs(1_200))
        .binding_tolerance(Duration::from_secs(30))
}

fn vars(vars: &[(&str, &str)]) -> Result<EnvOptions, ConfigError> {
    SessionOptions::from_vars("SESSION_", vars.iter().copied())
}

#[test]
fn options_with_default_set_explicitly_differ_from_unset_options() {
    let seven_days = Duration::from_secs(604_800);
    for set in [
        SessionOptions::default().inactivity_timeout(seven_days),
        SessionOptions::default().maximum_lifetime(seven_days),
        SessionOptions::default().renew_after(Duration::from_secs(60)),
        SessionOptions::default().multi_session(false),
        SessionOptions::default().allowed_redirect_origins([""; 0]),
    ] {
        assert_ne!(set, SessionOptions::default());
    }
}

#[test]
fn env_options_read_every_setting() {
    let env = vars(&[
        ("SESSION_INACTIVITY_TIMEOUT", "1h30m"),
        ("SESSION_MAXIMUM_LIFETIME", "off"),
        ("SESSION_RENEW_AFTER", "90s"),
        ("SESSION_MULTI", "on"),
        ("SESSION_SIGN_IN_URL", "https://accounts.example.com/sign-in"),
        ("SESSION_AFTER_SIGN_OUT_URL", "/"),
        ("SESSION_AFTER_MULTI_SESSION_SINGLE_SIGN_OUT_URL", "/bye"),
        ("SESSION_ORIGIN", "https://app.example.com"),
        ("SESSION_ALLOWED_REDIRECT_ORIGINS", "https://a.example , https://b.example"),
        ("SESSION_TASKS_URL", "/steps"),
        ("SESSION_REVERIFY_URL", "/confirm"),
        ("SESSION_NOT_BEFORE", "2026-11-23T22:00:00Z"),
        ("SESSION_COPIED_COOKIES", "step_up"),
        ("SESSION_COPIED_COOKIES_GRACE", "5s"),
        ("SESSION_DEVICE_BOUND", "required"),
        ("SESSION_BOUND_FOR", "20m"),
        ("SESSION_BINDING_TOLERANCE", "30s"),
    ])
    .unwrap();
    assert_eq!(env.options, everything());
    assert_eq!(env.warnings, []);
}

#[test]
fn env_boolean_accepts_three_spellings_of_each_value() {
    for (text, expected) in [
        ("on", Some(true)),
        ("true", Some(true)),
        ("1", Some(true)),
        ("off", Some(false)),
        ("false", Some(false)),
        ("0", Some(false)),
        ("yes", None),
        ("TRUE", None),
        ("on ", None),
        ("", None),
    ] {
        let read = vars(&[("SESSION_MULTI", text)]).ok().map(|env| env.options.multi_session);
        assert_eq!(read, expected.map(Some), "{text:?}");
    }
}

#[test]
fn env_error_names_variable_value_and_remedy() {
    for (name, value, remedy) in [
        ("SESSION_INACTIVITY_TIMEOUT", "604800", "a number has no unit; write `off`, or whole"),
        ("SESSION_MAXIMUM_LIFETIME", "never", "it is not a duration; write `off`, or whole"),
        ("SESSION_RENEW_AFTER", "off", "it is not a duration; write whole numbers with a unit"),
        ("SESSION_RENEW_AFTER", "", "it is empty (unset it for the default); write whole"),
        ("SESSION_SIGN_IN_URL", "", "it is empty (unset it for the default); write a path or"),
        ("SESSION_ORIGIN", "", "it is empty (unset it for the default); write this application's"),
        (
            "SESSION_COPIED_COOKIES",
            "step-up",
            "it is not a reaction; write off, report, step_up or end",
        ),
        ("SESSION_MULTI", "2", "it is not a boolean; write on, off, true, false, 1 or 0"),
        ("SESSION_ALLOWED_REDIRECT_ORIGINS", "https://a.example,", "one of its items is empty; w"),
        ("SESSION_ALLOWED_REDIRECT_ORIGINS", " ", "one of its items is empty; write origins with"),
    ] {
        let error = vars(&[(name, value)]).unwrap_err().to_string();
        let expected = format!("invalid session configuration: {name} = {value:?}: {remedy}");
        assert!(error.starts_with(&expected), "{error}\n{expected}");
    }
}

#[test]
fn env_error_reports_all_invalid_variables() {
    let error = vars(&[
        ("SESSION_MULTI", "yes"),
        ("SESSION_ORIGIN", "https://app.example.com"),
        ("SESSION_MAXIMUM_LIFETIME", ""),
        ("SESSION_INACTIVITY_TIMEOUT", "7"),
    ])
    .unwrap_err();
    let fields: Vec<_> = error.problems().iter().map(|problem| problem.field()).collect();
    let expected = ["SESSION_INACTIVITY_TIMEOUT", "SESSION_MAXIMUM_LIFETIME", "SESSION_MULTI"];
    assert_eq!(fields, expected);
}

#[cfg(unix)]
#[test]
fn env_value_without_unicode_is_rejected_only_for_a_setting() {
    use std::os::unix::ffi::OsStringExt;
    let raw = || OsString::from_vec(vec![b'/', 0xff]);
    let others = [(raw(), raw()), ("PATH".into(), raw()), ("SESSION_MANAGER".into(), raw())];
    assert!(SessionOptions::from_vars("SESSION_", others).is_ok());
    let error = SessionOptions::from_vars("SESSION_", [("SESSION_SIGN_IN_URL", raw())]);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("SESSION_SIGN_IN_URL = \"/\u{fffd}\": it is not Unicode"), "{error}");
}

#[test]
fn env_warning_covers_only_names_close_to_a_setting() {
    for (name, meant) in [
        ("SESSION_INACTIVTY_TIMEOUT", Some("SESSION_INACTIVITY_TIMEOUT")),
        ("SESSION_INACTIVITYTIMEOUT", Some("SESSION_INACTIVITY_TIMEOUT")),
        ("SESSION_INACTIVITY_TIMEOUTS", Some("SESSION_INACTIVITY_TIMEOUT")),
        ("session_maximum_lifetime", Some("SESSION_MAXIMUM_LIFETIME")),
        ("SESSION-RENEW-AFTER", Some("SESSION_RENEW_AFTER")),
        ("SESSIONMULTI", Some("SESSION_MULTI")),
        ("SESSION_MUTLI", Some("SESSION_MULTI")),
        ("SESSION_MULTI_SESSION", Some("SESSION_MULTI")),
        ("SESSION_SIGNIN_URL", Some("SESSION_SIGN_IN_URL")),
        ("SESSION_SIGN_IN_URI", Some("SESSION_SIGN_IN_URL")),
        ("SESSION_ALLOWED_REDIRECT_ORIGIN", Some("SESSION_ALLOWED_REDIRECT_ORIGINS")),
        ("SESSION_ORIGINS", Some("SESSION_ORIGIN")),
        ("SESSION_MANAGER", None),
        ("SESSION_SECRET", None),
        ("SESSION_STORE", None),
        ("SESSION_ID", None),
        ("SESSION_", None),
        ("SESSIONNAME", None),
        ("SESSIONS_ORIGIN", None),
        ("XDG_SESSION_ORIGIN", None),
        ("ORIGIN", None),
        ("", None),
    ] {
        // A value that no setting takes: it must not be looked at.
        let env = vars(&[(name, "\0")]).unwrap();
        assert_eq!(env.options, SessionOptions::default(), "{name}");
        assert_eq!(env.warnings.first().map(EnvWarning::suggestion), meant, "{name}");
    }
    let long = "SESSION_".to_owned() + &"MULTI".repeat(100_000);
    assert!(vars(&[(&long, "")]).unwrap().warnings.is_empty());
}

#[test]
fn env_warning_suggests_the_closest_setting() {
    let misspelt = [("SESSION_SIGN_UP_URL", "/join"), ("SESSION_INACTIVTY_TIMEOUT", "1h")];
    let mut warnings = Vec::new();
    let options = vars(&misspelt).unwrap().warn(|warning| warnings.push(warning.to_string()));
    assert_eq!(options, SessionOptions::default());
    assert_eq!(
        warnings,
        [
            "SESSION_INACTIVTY_TIMEOUT is not a setting; did you mean SESSION_INACTIVITY_TIMEOUT?",
            "SESSION_SIGN_UP_URL is not a setting; did you mean SESSION_SIGN_IN_URL?",
        ]
    );
    let env = vars(&misspelt).unwrap().known(&["SESSION_SIGN_UP_URL"]);
    assert_eq!(env.warnings.len(), 1);
}

#[test]
fn env_options_with_own_prefix_ignore_other_variables() {
    let env = SessionOptions::from_vars(
        "APP_",
        [
            ("SESSION_MULTI", "no flag"),
            ("APP_MULTI", "on"),
            ("APP_MULTI", "off"),
            ("APPLE_ORIGIN", "x"),
        ],
    )
    .unwrap();
    assert_eq!(env.options, SessionOptions::default().multi_session(true));
    assert_eq!(env.warnings, []);
}

proptest! {
    #[test]
    fn env_options_from_any_environment_never_panic(
        prefix in "(SESSION_|\\PC{0,3})",
        vars: Vec<(String, String)>,
        suffix in "[A-Z_]{0,12}",
        value: String,
    ) {
        let mut vars = vars;
        vars.push((format!("{prefix}{suffix}"), value.clone()));
        for setting in setting::Setting::ALL {
            vars.push((format!("{prefix}{}", setting.variable()), value.clone()));
        }
        let _ = SessionOptions::from_vars(&prefix, vars);
    }
}
