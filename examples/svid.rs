//! A program that was written for SPIFFE and knows nothing of casemate: it follows its identity until it is taken away.

use spiffe::{BundleSource, WorkloadApiClient, X509Source};
use tokio_stream::StreamExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let source = X509Source::new().await?;
    let svid = source.svid()?;
    let domain = svid.spiffe_id().trust_domain();
    let bundle = source.bundle_for_trust_domain(domain)?.ok_or("no bundle")?;
    println!("{} under {} authority", svid.spiffe_id(), bundle.authorities().len());
    let client = WorkloadApiClient::connect_env().await?;
    let mut identities = client.stream_x509_svids().await?;
    while let Some(identity) = identities.next().await {
        match identity {
            Ok(svid) => println!("holding {}", svid.spiffe_id()),
            Err(why) => {
                println!("ended: {why}");
                break;
            }
        }
    }
    Ok(())
}
