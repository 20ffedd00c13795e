//! `redis-benchmark` through egress and ingress beside Redis' own mutual TLS and plain Redis.

pub fn run() {
    println!("not written yet");
}
