//! A connection to the monitor for questions that may take their time: asked without holding up the runtime.

use std::path::Path;

use platform::program::{ProgramReply, ProgramRequest, frame, frame_room};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::Error;

/// One connection, one question at a time.
pub(crate) struct Line(UnixStream);

impl Line {
    pub(crate) async fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self(UnixStream::connect(path).await?))
    }

    pub(crate) async fn ask(&mut self, request: &ProgramRequest) -> Result<ProgramReply, Error> {
        self.0.write_all(frame(&request.encode())?.expose()).await?;
        let mut len = [0; 4];
        self.0.read_exact(&mut len).await?;
        let mut reply = frame_room(len)?;
        self.0.read_exact(reply.expose_mut()).await?;
        Ok(ProgramReply::read(reply.expose())?)
    }
}
