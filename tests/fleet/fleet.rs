//! Three nodes behind a proxy.

use std::{
    env, fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{
    RENEW_AFTER,
    site::{Site, accounts},
};

/// The number of nodes.
pub(crate) const NODES: usize = 3;

const SECRET: &str = "the secret of all nodes of the fleet, for tests only";

/// The nodes, the proxy and other processes, which are killed when it is dropped.
pub(crate) struct Fleet {
    nodes: Mutex<Vec<Option<Site>>>,
    ports: Vec<u16>,
    pub(crate) proxy: String,
    scheme: &'static str,
    store: String,
    /// Further settings of the nodes that start from now on.
    settings: Mutex<Vec<(String, String)>>,
    processes: Mutex<Vec<Child>>,
    folder: PathBuf,
}

impl Fleet {
    pub(crate) fn start(name: &str, store: &str) -> Arc<Self> {
        Self::start_with(name, "http", store, Vec::new())
    }

    /// A fleet whose origin has this scheme. The proxy has no TLS, and the simulated browsers need none.
    pub(crate) fn start_with(
        name: &str,
        scheme: &'static str,
        store: &str,
        settings: Vec<(String, String)>,
    ) -> Arc<Self> {
        let mut ports = free_ports(NODES + 1);
        let proxy_port = ports.pop().unwrap();
        let folder = env::temp_dir().join(format!("fleet-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let fleet = Arc::new(Self {
            nodes: Mutex::new((0..NODES).map(|_| None).collect()),
            ports,
            proxy: format!("127.0.0.1:{proxy_port}"),
            scheme,
            store: store.to_owned(),
            settings: Mutex::new(settings),
            processes: Mutex::default(),
            folder,
        });
        (0..NODES).for_each(|number| fleet.start_node(number));
        fleet.start_proxy(proxy_port);
        let all = Arc::downgrade(&fleet);
        stop_with_the_caller(move |now| {
            let fleet = all.upgrade();
            if let (Some(fleet), true) = (&fleet, now) {
                fleet.stop();
            }
            fleet.is_some()
        });
        fleet
    }

    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.proxy)
    }

    pub(crate) fn node(&self, number: usize) -> String {
        format!("127.0.0.1:{}", self.ports[number])
    }

    pub(crate) fn start_node(&self, number: usize) {
        let (listen, origin, renew_after) =
            (self.node(number), self.origin(), format!("{}s", RENEW_AFTER.as_secs()));
        let mut command = accounts(&[
            ("LISTEN", &listen),
            ("SESSION_SECRET", SECRET),
            ("SESSION_ORIGIN", &origin),
            ("SESSION_STORE", &self.store),
            ("SESSION_RENEW_AFTER", &renew_after),
        ]);
        command.envs(self.settings.lock().unwrap().iter().cloned());
        let site = Site::start_with(&mut command);
        self.nodes.lock().unwrap()[number] = Some(site);
    }

    /// Replaces the further settings of nodes that start from now on.
    pub(crate) fn set(&self, settings: Vec<(String, String)>) {
        *self.settings.lock().unwrap() = settings;
    }

    /// kill -9.
    pub(crate) fn kill_node(&self, number: usize) {
        self.nodes.lock().unwrap()[number] = None;
    }

    /// Adds a process that is killed with the fleet.
    pub(crate) fn add_process(&self, process: Child) {
        self.processes.lock().unwrap().push(process);
    }

    fn start_proxy(&self, port: u16) {
        let mut config = format!(
            "global\n  maxconn 4000\n  nbthread 1\n\
             defaults\n  mode http\n  timeout connect 1s\n  timeout client 30s\n  timeout server 15s\n\
             \x20 retries 3\n  option redispatch\n  retry-on conn-failure\n\
             frontend all\n  bind 127.0.0.1:{port}\n  default_backend nodes\n\
             backend nodes\n  balance roundrobin\n  option httpchk GET /style.css\n\
             \x20 default-server check inter 250ms fall 2 rise 1\n"
        );
        for (number, port) in self.ports.iter().enumerate() {
            config.push_str(&format!("  server node{number} 127.0.0.1:{port}\n"));
        }
        let file = self.folder.join("haproxy.cfg");
        fs::write(&file, config).unwrap();
        let name = env::var("HAPROXY").unwrap_or_else(|_| "haproxy".to_owned());
        let mut command = Command::new(&name);
        command.args(["-q", "-db", "-f"]).arg(&file).stdin(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        self.add_process(process);
        let start = Instant::now();
        while TcpStream::connect(&self.proxy).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "the proxy does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn stop(&self) {
        self.nodes.lock().unwrap().iter_mut().for_each(|node| *node = None);
        for process in self.processes.lock().unwrap().iter_mut() {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Calls `stop` and exits at SIGINT, SIGTERM, or when the parent process has exited, which may have got the
/// signal instead. `stop` returns whether there is still something to stop.
pub(crate) fn stop_with_the_caller(stop: impl Fn(bool) -> bool + Send + 'static) {
    use tokio::signal::unix::{SignalKind, signal};

    let caller = std::os::unix::process::parent_id();
    let mut interrupt = signal(SignalKind::interrupt()).unwrap();
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                () = tokio::time::sleep(Duration::from_millis(500)) => {
                    if !stop(false) {
                        return;
                    }
                    if std::os::unix::process::parent_id() != caller {
                        break;
                    }
                }
            }
        }
        stop(true);
        std::process::exit(130);
    });
}

/// Ports that were free a moment ago, below the range of outgoing connections.
fn free_ports(count: usize) -> Vec<u16> {
    let mut port = 20_000 + (std::process::id() % 10_000) as u16;
    let listeners = std::iter::repeat_with(|| {
        port += 7;
        TcpListener::bind(("127.0.0.1", port)).ok()
    });
    let listeners: Vec<_> = listeners.flatten().take(count).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
