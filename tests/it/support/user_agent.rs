//! A browser's cookie store by RFC 6265bis §5.6 to §5.8, with its own clock.

use std::collections::BTreeMap;

use http::{HeaderMap, header::SET_COOKIE};

/// 400 days (§5.5).
const MAX_AGE_LIMIT: i64 = 34_560_000;

/// The cookies of one browser, public suffixes and partitions aside.
#[derive(Debug, Default, Clone)]
pub(crate) struct UserAgent {
    /// By name, domain, host-only flag and path (§5.7 step 23).
    cookies: BTreeMap<(String, String, bool, String), Cookie>,
    pub(crate) now: i64,
}

#[derive(Debug, Clone)]
struct Cookie {
    value: String,
    secure: bool,
    /// `None` until the browser is closed.
    expires: Option<i64>,
}

impl UserAgent {
    /// Stores the cookies of a response from `scheme://host/path`.
    pub(crate) fn store(&mut self, scheme: &str, host: &str, path: &str, headers: &HeaderMap) {
        for field in headers.get_all(SET_COOKIE) {
            self.set(scheme == "https", host, path, field.to_str().unwrap());
        }
    }

    /// §5.6, §5.7.
    fn set(&mut self, is_secure: bool, host: &str, request_path: &str, text: &str) {
        let mut parts = text.split(';');
        let pair = parts.next().unwrap();
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let (name, value) = (trim(name), trim(value));
        if name.is_empty() && value.is_empty() || name.len() + value.len() > 4096 {
            return;
        }
        let (mut secure, mut domain, mut path, mut max_age) = (false, None, None, None);
        for attribute in parts {
            let (attribute, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = trim(value);
            if value.len() > 1024 {
                continue;
            }
            match trim(attribute).to_ascii_lowercase().as_str() {
                "secure" => secure = true,
                "domain" => domain = Some(value.trim_start_matches('.').to_ascii_lowercase()),
                "path" => path = value.starts_with('/').then(|| value.to_owned()),
                "max-age" => {
                    let digits = value.strip_prefix('-').unwrap_or(value);
                    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                        let seconds = value.parse::<i64>().unwrap_or(i64::MAX);
                        max_age = Some(seconds.min(MAX_AGE_LIMIT));
                    }
                }
                _ => {}
            }
        }
        let host_only = domain.as_deref().is_none_or(str::is_empty);
        let domain = domain.filter(|domain| !domain.is_empty()).unwrap_or_else(|| host.to_owned());
        let path = path.unwrap_or_else(|| default_path(request_path));
        let lower = name.to_ascii_lowercase();
        let refused = !domain_matches(host, &domain)
            || secure && !is_secure
            || lower.starts_with("__secure-") && !secure
            || lower.starts_with("__host-") && !(secure && host_only && path == "/")
            || !secure && !is_secure && self.shadows_secure(name, &domain, &path);
        if refused {
            return;
        }
        let key = (name.to_owned(), domain, host_only, path);
        match max_age {
            Some(seconds) if seconds <= 0 => drop(self.cookies.remove(&key)),
            _ => {
                let expires = max_age.map(|seconds| self.now + seconds);
                self.cookies.insert(key, Cookie { value: value.to_owned(), secure, expires });
            }
        }
    }

    /// §5.7 step 16: a page without TLS cannot shadow a Secure cookie.
    fn shadows_secure(&self, name: &str, domain: &str, path: &str) -> bool {
        self.cookies.iter().any(|((other, at, _, below), cookie)| {
            cookie.secure
                && other == name
                && (domain_matches(domain, at) || domain_matches(at, domain))
                && path_matches(path, below)
        })
    }

    /// The `Cookie` header of a request (§5.8), longer paths first.
    pub(crate) fn header(&self, scheme: &str, host: &str, path: &str) -> Option<String> {
        let mut sent: Vec<_> = self
            .cookies
            .iter()
            .filter(|((_, domain, host_only, below), cookie)| {
                (if *host_only { host == domain } else { domain_matches(host, domain) })
                    && path_matches(path, below)
                    && (!cookie.secure || scheme == "https")
                    && cookie.expires.is_none_or(|expires| self.now < expires)
            })
            .map(|((name, _, _, below), cookie)| (below.len(), format!("{name}={}", cookie.value)))
            .collect();
        sent.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        let pairs: Vec<_> = sent.into_iter().map(|(_, pair)| pair).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    pub(crate) fn len(&self) -> usize {
        self.cookies.len()
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// §5.1.3, for names.
fn domain_matches(host: &str, domain: &str) -> bool {
    host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// §5.1.4.
fn path_matches(path: &str, below: &str) -> bool {
    path == below
        || path
            .strip_prefix(below)
            .is_some_and(|rest| below.ends_with('/') || rest.starts_with('/'))
}

fn default_path(path: &str) -> String {
    match path.rfind('/') {
        Some(0) | None => "/".to_owned(),
        Some(end) => path[..end].to_owned(),
    }
}
