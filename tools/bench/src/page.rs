//! A page of the lab, as the server sees one: the server counts, part by part, the bytes of requests that carry the
//! page's id, and reports the counts over a separate channel (`GET /v1/lab/ws`).

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use fourways_shared::{
    Technique,
    lab::{Counts, LabCommand, LabId, LabNews, Tag},
};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use crate::raw::DEADLINE;

/// An open channel of one page to the server.
#[derive(Debug)]
pub(crate) struct Page {
    id: LabId,
    channel: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Number of commands that were sent.
    commands: u64,
}

impl Page {
    /// Opens the channel. The server counts from now on.
    ///
    /// # Errors
    /// If the server has no lab.
    pub(crate) async fn open(server: SocketAddr) -> anyhow::Result<Self> {
        // The server has no other page, so any id will do.
        let id = LabId::from_random([7; 16]);
        let url = format!("ws://{server}/v1/lab/ws?lab={}", id.as_str());
        let connecting = timeout(DEADLINE, connect_async(url)).await.context("the lab does not answer")?;
        let (channel, _) = connecting.context("the lab's channel could not be opened")?;
        Ok(Self { id, channel, commands: 0 })
    }

    /// Returns the query parameter that makes the server count a request's bytes. Its length is constant and has to be
    /// subtracted from the counts.
    pub(crate) fn tag(&self) -> String {
        format!("&lab={}", Tag { id: self.id, n: 1 })
    }

    /// Resets the server's counts to zero.
    ///
    /// # Errors
    /// If the channel is closed.
    pub(crate) async fn zero(&mut self) -> anyhow::Result<()> {
        self.tell(&LabCommand::Zero(Technique::ALL.to_vec())).await.map(drop)
    }

    /// Returns the counts of a technique. The server has one worker, which counts bytes as it writes them, so an answer
    /// that has been read has also been counted.
    ///
    /// # Errors
    /// If the channel is closed.
    pub(crate) async fn counts(&mut self, technique: Technique) -> anyhow::Result<Counts> {
        // The server sends its state after any command; this one changes nothing.
        let news = self.tell(&LabCommand::Heal(Vec::new())).await?;
        Ok(news.counts[technique.index()])
    }

    async fn tell(&mut self, command: &LabCommand) -> anyhow::Result<LabNews> {
        let text = serde_json::to_string(command)?;
        let sending = self.channel.send(Message::text(text));
        timeout(DEADLINE, sending).await.context("the lab does not listen")??;
        self.commands += 1;
        timeout(DEADLINE, self.news()).await.context("the lab does not answer")?
    }

    /// Waits for the news that the server sends after the last command.
    async fn news(&mut self) -> anyhow::Result<LabNews> {
        loop {
            let message = self.channel.next().await.context("the lab's channel ended")??;
            let Message::Text(text) = message else { continue };
            let news: LabNews = serde_json::from_str(&text)?;
            if let Some(refused) = &news.refused {
                bail!("the lab refused a command: {refused}");
            }
            if news.commands == self.commands {
                return Ok(news);
            }
        }
    }
}
