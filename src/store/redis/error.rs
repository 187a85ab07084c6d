//! Maps errors of the client to [`StoreError`].

use redis::{ErrorKind, RedisError};

use crate::store::error::StoreError;

/// Every error of a server or of the connection is an outage. The server's message is left out, because
/// it can repeat arguments.
pub(super) fn failure(error: &RedisError) -> StoreError {
    // A value of another type under one of this store's keys. Servers before 7 report it in the details.
    let is_type = |text: &str| text.contains("WRONGTYPE");
    if error.code().is_some_and(is_type) || error.detail().is_some_and(is_type) {
        return StoreError::Corrupt("a key holds another kind of value");
    }
    let what = match error.kind() {
        ErrorKind::Io if error.is_timeout() => "no response in time".to_owned(),
        ErrorKind::Io if error.is_connection_refusal() => "connection refused".to_owned(),
        ErrorKind::Io => "connection lost".to_owned(),
        _ => error_code(error),
    };
    StoreError::unavailable(format!("redis: {what}"))
}

/// The server's code for the first command that failed; otherwise the client's category.
fn error_code(error: &RedisError) -> String {
    let errors = error.clone().into_server_errors();
    let first = errors.as_deref().and_then(<[_]>::first);
    first.map_or_else(
        || error.category().to_owned(),
        |(_, failed)| first_word(failed.code()).to_owned(),
    )
}

/// The code at the start of a server's error, such as `OOM`, `READONLY` or `LOADING`.
fn first_word(code: &str) -> &str {
    let is_word = code.len() <= 32 && code.bytes().all(|b| b.is_ascii_uppercase());
    if is_word { code } else { "an error of the server" }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use redis::{Value, parse_redis_value};

    use crate::store::redis::error::*;

    fn error_of(line: &str) -> StoreError {
        let value = parse_redis_value(line.as_bytes()).and_then(Value::extract_error);
        failure(&value.unwrap_err())
    }

    #[test]
    fn redis_server_error_is_unavailable_without_details() {
        for code in ["OOM", "READONLY", "LOADING", "CLUSTERDOWN", "BUSY", "NOPERM", "ERR"] {
            let error = error_of(&format!("-{code} for 'ada' at redis://:hunter2@host\r\n"));
            let StoreError::Unavailable(cause) = &error else { panic!("{code}: {error:?}") };
            let shown = format!("{error} {error:?} {cause}");
            assert!(!shown.contains("ada") && !shown.contains("hunter2"), "{shown}");
            assert!(error.source().is_some());
        }
        assert!(matches!(error_of("-WRONGTYPE Operation\r\n"), StoreError::Corrupt(_)));
        let old = error_of("-ERR Error running script: @user_script:3: WRONGTYPE Operation\r\n");
        assert!(matches!(old, StoreError::Corrupt(_)));
    }
}
