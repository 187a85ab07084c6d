//! The scripts that make every operation atomic, and how they are run.

use std::sync::LazyLock;

use redis::{ErrorKind, RedisResult, Script, ServerErrorKind, Value, cmd, from_redis_value};

use super::{connection::Connection, error::failure};
use crate::store::error::StoreError;

/// A script, with its digest.
pub(super) struct LuaScript {
    text: &'static str,
    digest: LazyLock<String>,
}

macro_rules! code {
    ($name:ident, $($file:literal),+) => {
        pub(super) static $name: LuaScript = {
            const TEXT: &str = concat!($(include_str!($file)),+);
            LuaScript { text: TEXT, digest: LazyLock::new(|| Script::new(TEXT).get_hash().to_owned()) }
        };
    };
}

code!(CREATE, "common.lua", "create.lua");
code!(LOAD, "common.lua", "load.lua");
code!(RENEW, "common.lua", "renew.lua");
code!(REVOKE, "common.lua", "revoke.lua");
code!(REVOKE_OF_SUBJECT, "common.lua", "revoke_subject.lua");
code!(REVOKE_ALL, "common.lua", "revoke_all.lua");
code!(SESSIONS, "common.lua", "list.lua");
code!(PUBLISH, "common.lua", "publish.lua");
code!(READ, "common.lua", "read_feed.lua");

/// Run by its text and not by its digest: in a pipeline a failed EVALSHA cannot be retried.
pub(super) const CONFIRM: &str = include_str!("replication.lua");

/// The reply of a script: a flat list of words and numbers.
pub(super) type ScriptReply = Vec<Option<String>>;

impl LuaScript {
    /// Runs the script by its digest, or by its text if the server does not have it yet.
    pub(super) async fn run(
        &self,
        mut link: Connection,
        keys: &[&str],
        arguments: &[&str],
    ) -> Result<ScriptReply, StoreError> {
        let digest = self.send(&mut link, "EVALSHA", &self.digest, keys, arguments).await;
        let answer = match digest {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send(&mut link, "EVAL", self.text, keys, arguments).await
            }
            other => other,
        };
        let value = answer.map_err(|error| failure(&error))?;
        from_redis_value(value).map_err(|_| StoreError::Corrupt("the reply is not text"))
    }

    async fn send(
        &self,
        link: &mut Connection,
        how: &'static str,
        code: &str,
        keys: &[&str],
        arguments: &[&str],
    ) -> RedisResult<Value> {
        let mut command = cmd(how);
        command.arg(code).arg(keys.len()).arg(keys).arg(arguments);
        command.query_async(link).await
    }
}
