//! Varnish, nginx and Apache httpd in front of the application, in several configurations.

use std::{
    env, fs,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The guide, whose configurations are tested.
const GUIDE: &str = include_str!("../../docs/caches.md");

/// The address of the service in the guide.
const GUIDE_ADDRESS: &str = "127.0.0.1:3000";

/// How often a server is asked whether it listens, every 20 ms.
const ATTEMPTS: u32 = 1_000;

/// A configuration of a cache.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// Whether requests with cookies can be answered from the cache.
    pub(crate) caches_with_cookies: bool,
}

impl Cache {
    /// No cache: the application itself.
    pub(crate) const fn none(address: SocketAddr) -> Self {
        Self { name: "no cache", address, caches_with_cookies: false }
    }
}

/// The running caches, which are stopped when this is dropped.
pub(crate) struct Servers {
    pub(crate) caches: Vec<Cache>,
    processes: Vec<Child>,
    folder: PathBuf,
}

impl Servers {
    /// Starts all caches in front of `origin`. `test` is a name that no other test has.
    pub(crate) fn start(test: &str, origin: SocketAddr) -> Self {
        let folder = env::temp_dir().join(format!("caches-{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut ports = free_ports(8).into_iter();
        let mut add = |name, caches_with_cookies| {
            let address = SocketAddr::from(([127, 0, 0, 1], ports.next().unwrap()));
            Cache { name, address, caches_with_cookies }
        };
        let caches = vec![
            add("Varnish", false),
            add("Varnish that looks up requests with cookies", true),
            add("nginx", true),
            add("nginx that revalidates", true),
            add("nginx that ignores Vary, as some CDNs do", true),
            add("nginx, as the guide recommends", false),
            add("Apache httpd", true),
            add("Apache httpd, as the guide recommends", true),
        ];
        let addresses: Vec<_> = caches.iter().map(|cache| cache.address).collect();
        let mut servers = Self { caches, processes: Vec::new(), folder };
        servers.start_varnish(origin, addresses[0], addresses[1]);
        servers.start_nginx(origin, &addresses[2..6]);
        servers.start_apache(origin, addresses[6], addresses[7]);
        for cache in &servers.caches {
            let is_up = (0..ATTEMPTS).any(|attempt| {
                if attempt > 0 {
                    std::thread::sleep(Duration::from_millis(20));
                }
                TcpStream::connect(cache.address).is_ok()
            });
            assert!(is_up, "{} does not listen; its log: {}", cache.name, servers.logs());
        }
        servers
    }

    fn start_varnish(&mut self, origin: SocketAddr, plain: SocketAddr, cookies: SocketAddr) {
        let folder = self.subfolder("varnish");
        let port = origin.port();
        // The address is a part of the key, so that the two configurations share no response.
        let config = format!(
            r#"vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{port}"; }}
sub vcl_recv {{
    if (local.socket == "cookies" && req.method == "GET") {{ return (hash); }}
}}
sub vcl_hash {{ hash_data(local.socket); }}
{}"#,
            of_guide("vcl", origin)
        );
        let file = folder.join("default.vcl");
        fs::write(&file, config).unwrap();
        let mut command = Command::new("varnishd");
        command.args(["-F", "-j", "none", "-s", "malloc,16m", "-f"]).arg(file);
        command.args(["-a", &format!("plain={plain}"), "-a", &format!("cookies={cookies}")]);
        command.args(["-p", "thread_pool_min=10", "-p", "thread_pools=1", "-n"]).arg(&folder);
        self.start_server(&folder, &command);
    }

    fn start_nginx(&mut self, origin: SocketAddr, addresses: &[SocketAddr]) {
        let folder = self.subfolder("nginx");
        let at = folder.display();
        let mut config = format!(
            "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log stderr error;\n\
             events {{ worker_connections 256; }}\nhttp {{\n  access_log off;\n"
        );
        for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            config.push_str(&format!("  {name}_temp_path {at}/{name};\n"));
        }
        let extra = [
            "",
            "proxy_cache_valid 10m; proxy_cache_revalidate on; proxy_cache_lock on;",
            "proxy_cache_valid 10m; proxy_ignore_headers Vary;",
        ];
        for (number, (address, extra)) in addresses.iter().zip(extra).enumerate() {
            config.push_str(&format!(
                "  proxy_cache_path {at}/cache{number} keys_zone=zone{number}:1m;\n\
                 \x20 server {{\n    listen {address};\n    location / {{\n\
                 \x20     proxy_pass http://{origin}; proxy_cache zone{number}; {extra}\n\
                 \x20   }}\n  }}\n"
            ));
        }
        let server = format!("server {{\n    listen {};", addresses[3]);
        let of_guide = of_guide("nginx", origin).replace("server {", &server);
        let path = format!("proxy_cache_path {at}/pages keys_zone=pages:1m;");
        config.push_str(&format!("{path}\n{of_guide}\n}}\n"));
        let file = folder.join("nginx.conf");
        fs::write(&file, config).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p"]).arg(&folder).arg("-c").arg(file);
        self.start_server(&folder, &command);
    }

    fn start_apache(&mut self, origin: SocketAddr, plain: SocketAddr, guide: SocketAddr) {
        let folder = self.subfolder("apache");
        let cache = folder.join("cache");
        fs::create_dir(&cache).unwrap();
        // The workers of a server that root starts run as another user.
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
        let modules = ["mpm_event", "authz_core", "proxy", "proxy_http", "cache", "cache_disk"]
            .map(|name| {
                format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
            })
            .concat();
        let config = format!(
            "ServerName localhost\nServerRoot {at}\nDefaultRuntimeDir {at}\nPidFile {at}/pid\n\
             Listen {plain}\nListen {guide}\nErrorLog /dev/stderr\nLogLevel error\n{modules}\
             User www-data\nGroup www-data\nServerLimit 1\nThreadsPerChild 16\nMaxRequestWorkers 16\n\
             CacheRoot {cache}\nCacheStoreExpired on\n\
             <VirtualHost {plain}>\nCacheEnable disk /\nProxyPass / http://{origin}/\n\
             </VirtualHost>\n<VirtualHost {guide}>\n{of_guide}</VirtualHost>\n",
            of_guide = of_guide("apache", origin),
            at = folder.display(),
            cache = cache.display(),
        );
        let file = folder.join("apache.conf");
        fs::write(&file, config).unwrap();
        let mut command = Command::new("apache2");
        command.args(["-D", "FOREGROUND", "-f"]).arg(file);
        self.start_server(&folder, &command);
    }

    fn subfolder(&self, name: &str) -> PathBuf {
        let folder = self.folder.join(name);
        fs::create_dir(&folder).unwrap();
        folder
    }

    /// Runs a server until the other end of its pipe is closed, which it also is when this process is
    /// killed.
    fn start_server(&mut self, folder: &Path, server: &Command) {
        let log = fs::File::create(folder.join("log")).unwrap();
        let script = "\"$@\" </dev/null & read -r _; kill -TERM $!; wait $!";
        let process = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(server.get_program())
            .args(server.get_args())
            .env("PATH", format!("{}:/usr/sbin", env::var("PATH").unwrap_or_default()))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.processes.push(process);
    }

    fn logs(&self) -> String {
        ["varnish", "nginx", "apache"]
            .map(|name| fs::read_to_string(self.folder.join(name).join("log")).unwrap_or_default())
            .concat()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for process in &mut self.processes {
            drop(process.stdin.take());
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The configuration in this language that the guide recommends, for a service at `origin`.
fn of_guide(language: &str, origin: SocketAddr) -> String {
    let (_, block) = GUIDE.split_once(&format!("```{language}\n")).unwrap();
    let (block, _) = block.split_once("```").unwrap();
    block.replace(GUIDE_ADDRESS, &origin.to_string())
}

/// Ports that were free a moment ago.
fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<_> =
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
