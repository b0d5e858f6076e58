//! Use cases that are only looked at, a match and a dashboard; and the page of a use case itself.

use fourways_e2e::{Browser, run};

use super::{Restarted, TECHNIQUES, list_when, talk};

#[test]
fn whoever_comes_late_or_after_a_restart_sees_the_same_score() {
    run(async || {
        let mut log = Restarted::start()?;
        let (ada, ben) = (Browser::open(&log.url(), 1440).await?, Browser::open(&log.url(), 1440).await?);
        for technique in TECHNIQUES {
            ada.go(&format!("/use-cases/score?by={technique}")).await?;
            ada.find("[data-testid=final]:enabled").await?;
            ada.click("[data-testid=final]").await?;
            ada.text_when(".board", |board| board.contains("Argentina")).await?;
            ada.choose("Minutes of the match in a second", "15").await?;
            ben.go(&format!("/use-cases/score?by={technique}")).await?;
            for browser in [&ada, &ben] {
                browser.text_when("[data-testid=score]", |score| score == "3 : 3").await?;
                browser
                    .text_when("[data-testid=story]", |story| story.contains("4:2 after penalties"))
                    .await?;
            }
            log.kill()?;
            log.again()?;
            // A page that has stayed gets the changes that follow; one that is opened only now gets the state.
            ben.go(&format!("/use-cases/score?by={technique}")).await?;
            ben.text_when(".board", |board| board.contains("Argentina")).await?;
            ben.text_when("[data-testid=score]", |score| score == "3 : 3").await?;
            ben.find("[data-testid=match-before]:enabled").await?;
            ben.click("[data-testid=match-before]").await?;
            for browser in [&ada, &ben] {
                browser.text_when(".board", |board| board.contains("Croatia")).await?;
            }
        }
        ada.close().await?;
        ben.close().await
    });
}

/// Script that counts the lines of which a chart is made, plus one.
const PIECES: &str = "return document.querySelector('.tile path').getAttribute('d').split('M').length;";

#[test]
fn the_dashboard_shows_this_host_by_each_technique_and_a_gap_where_there_was_no_server() {
    run(async || {
        let mut log = Restarted::start()?;
        let ada = Browser::open(&log.url(), 1440).await?;
        for technique in TECHNIQUES {
            ada.go(&format!("/use-cases/dashboard?by={technique}")).await?;
            for tile in 0..12 {
                ada.text_when(&format!("[data-testid=tile-{tile}]"), |text| {
                    text.starts_with(|c: char| c.is_ascii_digit())
                })
                .await?;
            }
            ada.choose("Figures a second", "10").await?;
            // Figures that a poll skips leave a gap: then each figure stands alone.
            let points =
                "return document.querySelector('.tile path').getAttribute('d').split(/[ML]/).length;";
            ada.ask_when(points, &[], |count| count.as_u64() > Some(3)).await?;
            let before = ada.ask(PIECES, &[]).await?;
            log.kill()?;
            log.again()?;
            ada.ask_when(PIECES, &[], |pieces| pieces.as_u64() > before.as_u64()).await?;
        }
        ada.close().await
    });
}

#[test]
fn the_technique_is_switched_while_it_runs_and_the_code_is_the_real_one() {
    run(async || {
        let log = Restarted::start()?;
        let ada = Browser::open(&log.url(), 380).await?;
        ada.go("/use-cases").await?;
        ada.click("a[href='/use-cases/chat']").await?;
        let messages = "[data-testid=messages] li p";
        for (at, technique) in ["Short polling", "Long polling", "SSE", "WebSocket"].into_iter().enumerate() {
            ada.choose("By which technique", technique).await?;
            talk::say(&ada, &format!("message {at}")).await?;
            list_when(&ada, messages, |said| said.len() == at + 1).await?;
        }
        let said = list_when(&ada, messages, |said| said.len() == 4).await?;
        anyhow::ensure!(said == ["message 0", "message 1", "message 2", "message 3"], "{said:?}");
        ada.text_when("[data-testid=why]", |why| why.contains("by WebSocket")).await?;
        ada.click(".code-tab summary").await?;
        ada.ask_when("return document.querySelector('[data-testid=code]').textContent;", &[], |code| {
            code.as_str() == Some(include_str!("../../../../../frontend/src/pages/use_cases/chat.rs"))
        })
        .await?;
        let errors = ada.console_errors().await?;
        anyhow::ensure!(errors.is_empty(), "{errors:?}");
        ada.close().await
    });
}
