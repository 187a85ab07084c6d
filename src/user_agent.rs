//! A label for a device from its `User-Agent`: for people to recognise it, and for no decision.

/// A label such as "Firefox on Linux"; `None` for an unknown client.
#[cfg(feature = "user-agent")]
pub(crate) fn label(user_agent: &str) -> Option<String> {
    // No browser sends so long a value: do not spend a hundred patterns on it.
    if user_agent.len() > 512 {
        return None;
    }
    let found = woothee::parser::Parser::new().parse(user_agent)?;
    let known = |name: &str| (!name.is_empty() && name != "UNKNOWN").then(|| name.to_owned());
    // Browsers no longer send the version of Windows.
    let system = known(found.os).map(|name| match name.as_str() {
        "Mac OSX" => "macOS".to_owned(),
        name if name.starts_with("Windows ") && !name.contains("Phone") => "Windows".to_owned(),
        _ => name,
    });
    match (known(found.name), system) {
        (Some(browser), Some(system)) => Some(format!("{browser} on {system}")),
        (browser, system) => browser.or(system),
    }
}

/// Without the feature `user-agent` there is no label.
#[cfg(not(feature = "user-agent"))]
pub(crate) fn label(_: &str) -> Option<String> {
    None
}

#[cfg(test)]
#[cfg(feature = "user-agent")]
mod tests {
    use super::label;

    #[test]
    fn user_agent_label_names_browser_and_platform() {
        for (user_agent, expected) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                Some("Firefox on Linux"),
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/140.0.0.0 Safari/537.36",
                Some("Chrome on Windows"),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 \
                 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
                Some("Safari on iPhone"),
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like \
                 Gecko) Version/18.5 Safari/605.1.15",
                Some("Safari on macOS"),
            ),
            ("", None),
            ("\u{fffd}{}<script>", None),
        ] {
            assert_eq!(label(user_agent).as_deref(), expected, "{user_agent}");
        }
        assert_eq!(label(&"Firefox/".repeat(100)), None);
    }
}
