"""The page's own words, in each of its languages. What comes from a run stays as it is."""

from __future__ import annotations

import os

from shardwise.errors import UsageError

LANGUAGES = ("en", "ja")

Texts = dict[str, str]

_TEXTS: dict[str, tuple[str, str]] = {
    # the frame
    "run": ("Run", "実行"),
    "skip": ("Skip to the report", "レポート本文へ移動"),
    "contents": ("Contents", "目次"),
    "theme": ("Dark", "ダーク"),
    "made": ("Made by Shardwise", "作成: Shardwise"),
    "no_charts": (
        'Charts need the extra "report": pip install "shardwise[report]". The tables below say the same.',
        'グラフには追加パッケージ "report" が必要です: pip install "shardwise[report]"。内容は下の表と同じです。',
    ),
    "no_script": (
        "Charts, the list of tasks and their logs need JavaScript; the tables do without.",
        "グラフ、タスク一覧、ログの表示には JavaScript が必要です。表はそのまま読めます。",
    ),
    "nothing": ("None.", "ありません。"),
    "unknown": ("not known", "不明"),
    "and_more": ("and {} more", "ほか {} 件"),
    "yes": ("yes", "はい"),
    "no": ("no", "いいえ"),
    "chosen": ("chosen", "採用"),
    # the state of a run
    "done": ("done", "完了"),
    "running": ("running", "実行中"),
    "failed": ("failed", "失敗"),
    "interrupted": ("interrupted", "中断"),
    "interrupted_how": (
        "Nobody works on this run any more. Run the same command again: what was committed is kept, and it goes on.",
        "この実行を進めているプロセスはありません。同じコマンドをもう一度実行すると、確定済みの結果を残して続きから進みます。",
    ),
    "planned": ("planned", "計画のみ"),
    "planned_how": (
        "Only a plan was asked for so far. Run it: what was tried for the plan is kept, and not done again.",
        "まだ計画だけです。実行すると、計画のために試した結果を残して続きから進みます。",
    ),
    "failed_how": (
        "The run failed. What was committed is kept; mend the cause and run the same command again.",
        "実行は失敗しました。確定済みの結果は残っています。原因を直して同じコマンドをもう一度実行してください。",
    ),
    "live": ("This page follows the run.", "このページは実行に合わせて更新されます。"),
    "gone": (
        "No news: shardwise watch has ended, or cannot read the run any more. This is the last that was heard.",
        "更新が届いていません。shardwise watch が終了したか、実行を読めなくなっています。最後に届いた状態の表示です。",
    ),
    # what ran
    "plan": ("What ran, and why it was planned so", "何を実行し、なぜそう計画したか"),
    "job": ("Job", "ジョブ"),
    "status": ("Status", "状態"),
    "engine": ("Engine", "エンジン"),
    "workers": ("Workers", "ワーカー"),
    "threads": ("Threads each", "各スレッド数"),
    "took": ("Took", "所要時間"),
    "began": ("Began", "開始"),
    "ended": ("Ended", "終了"),
    "directory": ("Directory", "ディレクトリ"),
    "version": ("Version", "バージョン"),
    "read_in_all": ("Read", "読み込み"),
    "tasks": ("Tasks", "タスク"),
    "tasks_so_far": ("{} done", "{} 件完了"),
    "tasks_done": ("{} of {} done", "{1} 件中 {0} 件完了"),
    "why": ("Why", "理由"),
    "no_plan": ("This run's journal holds no plan.", "この実行のジャーナルに計画はありません。"),
    "no_reasons": ("The plan gives no reasons.", "計画に理由の記載はありません。"),
    "bottleneck": ("Bottleneck: {}", "ボトルネック: {}"),
    "strategy": ("What follows from it: {}", "取るべき方針: {}"),
    "sampled": (
        "Predicted from {} sample tasks, {} of the work, measured in {}.",
        "{} 個のサンプルタスク(作業の {})を {} で計測して予測しました。",
    ),
    "planned_stages": ("Stages as planned", "計画上のステージ"),
    "alternatives": ("What else was considered", "検討した他の選択肢"),
    "stage": ("Stage", "ステージ"),
    "what": ("What it does", "内容"),
    "batches": ("Batches", "バッチ"),
    "rows": ("Rows", "行数"),
    "rows_unit": ("rows", "行"),
    "size": ("Size", "サイズ"),
    "before": ("Done before", "既に完了"),
    "shard": ("Shard", "シャード"),
    "time": ("Time", "時間"),
    "time_since_plan": ("Time, from the plan to the end", "時間(計画から終了まで)"),
    "between": ("80 % interval", "80 % 区間"),
    "memory": ("Memory", "メモリ"),
    "fits": ("Fits", "収まるか"),
    # predicted beside measured
    "measured": ("Predicted beside measured", "予測と実測"),
    "whole_run": ("The whole run", "全体"),
    "by_stage": ("By stage", "ステージ別"),
    "quantity": ("Quantity", "項目"),
    "predicted": ("Predicted", "予測"),
    "was": ("Measured", "実測"),
    "off_by": ("Measured over predicted", "実測 ÷ 予測"),
    "peak": ("Peak memory", "最大メモリ"),
    "limit": ("Memory allowed", "メモリ上限"),
    "time_predicted": ("Time, predicted", "時間(予測)"),
    "time_was": ("Time, measured", "時間(実測)"),
    "memory_predicted": ("Memory, predicted", "メモリ(予測)"),
    "memory_was": ("Memory, measured", "メモリ(実測)"),
    "not_predicted": (
        "No time was predicted before this run.",
        "この実行の前に時間の予測は行われていません。",
    ),
    "chart_time": ("Time by stage, predicted and measured", "ステージ別の時間(予測と実測)"),
    "chart_memory": ("Peak memory by stage, predicted and measured", "ステージ別の最大メモリ(予測と実測)"),
    # the timeline
    "timeline": ("Timeline of every worker", "全ワーカーのタイムライン"),
    "timeline_about": (
        "Each lane is a worker, each bar an attempt at a task. Inside an attempt, reading, computing and writing take "
        "turns batch by batch; their totals are drawn one after the other.",
        "1 行が 1 ワーカー、1 本の棒がタスクの 1 回の試行です。試行の中では読み込み・計算・書き込みがバッチごとに交互に"
        "進みます。図ではそれぞれの合計を順に並べています。",
    ),
    "timeline_keys": (
        "Drag to move; Ctrl and the wheel to zoom (the wheel alone once the chart has been clicked); click a bar for "
        "its logs. Keys: + and - zoom, ← and → move, Home shows all, N and P choose the next or previous attempt, "
        "Enter opens its logs, Esc closes them.",
        "ドラッグで移動、Ctrl+ホイールで拡大縮小(一度クリックした後はホイールだけで可)、"
        "棒をクリックするとログを表示します。"
        "キー操作: + と - で拡大縮小、← と → で移動、Home で全体表示、N と P で次・前の試行を選択、"
        "Enter でログを開き、Esc で閉じます。",
    ),
    "zoom_in": ("Zoom in", "拡大"),
    "zoom_out": ("Zoom out", "縮小"),
    "earlier": ("Earlier", "前へ"),
    "later": ("Later", "後へ"),
    "show_all": ("Show all", "全体表示"),
    "shown": ("Shown: {} to {}", "表示範囲: {} ~ {}"),
    "reading": ("reading", "読み込み"),
    "computing": ("computing", "計算"),
    "writing": ("writing", "書き込み"),
    "waiting": ("waiting", "待機"),
    "starting": ("starting", "起動"),
    "retrying": ("retrying", "再試行"),
    "overhead": ("the rest: sending, loading, committing", "その他(送受信・読み込み準備・確定)"),
    "attempt_failed": ("failed or lost", "失敗・喪失"),
    "in_vain": ("cancelled or too late", "取り消し・遅着"),
    "backup": ("second attempt (speculation)", "投機的な再実行"),
    "worker": ("Worker", "ワーカー"),
    "host": ("Host", "ホスト"),
    "attempts": ("Attempts", "試行"),
    "not_kept": ("Not kept", "不採用"),
    "busy": ("Busy", "稼働率"),
    "task_list": ("Attempts at tasks", "タスクの試行一覧"),
    "order": ("Order", "並び順"),
    "by_length": ("longest first", "長い順"),
    "by_start": ("by start", "開始順"),
    "by_trouble": ("failures first", "失敗を先に"),
    "find": ("Find a task", "タスクを検索"),
    "previous_page": ("Previous", "前の一覧"),
    "next_page": ("Next", "次の一覧"),
    "rows_shown": ("{} to {} of {}", "{2} 件中 {0} ~ {1}"),
    "task": ("Task", "タスク"),
    "attempt": ("Attempt", "試行"),
    "how": ("How it ended", "結果"),
    "how_committed": ("committed", "確定"),
    "how_failed": ("failed", "失敗"),
    "how_lost": ("lost", "喪失"),
    "how_cancelled": ("cancelled", "取り消し"),
    "how_late": ("too late", "遅着"),
    "how_running": ("under way", "実行中"),
    "left_out": (
        "Drawn are {} of {} attempts: those of tasks that were tried again, the longest, and some of the rest.",
        "{1} 件の試行のうち {0} 件を描いています(再試行のあったタスク、長いもの、残りから等間隔に選んだもの)。",
    ),
    "gaps": (
        "Interruptions of the run: {}. The time between is left out ({}).",
        "中断回数: {}。その間の時間({})は省いています。",
    ),
    "tried_again": ("tried again", "再試行"),
    "driver": ("driver", "ドライバー"),
    # over time, and where it went
    "throughput": ("Throughput over time", "スループットの推移"),
    "rows_per_second": ("Rows per second", "1 秒あたりの行数"),
    "bytes_per_second": ("Bytes per second", "1 秒あたりのバイト数"),
    "from_to": ("When", "時間帯"),
    "no_throughput": ("No task that reads has been committed yet.", "読み込みを行うタスクはまだ確定していません。"),
    "where": ("Where the time went", "時間の使われ方"),
    "where_about": (
        "Seconds of all workers together: {}. Communication took {} of them.",
        "全ワーカーの合計時間は {} です。そのうち通信は {} でした。",
    ),
    "spent_on": ("Spent on", "用途"),
    "worker_seconds": ("Worker time", "ワーカー時間"),
    "share": ("Share", "割合"),
    "links": ("Bytes and seconds by link", "経路別のバイト数と時間"),
    "from": ("From", "送信元"),
    "to": ("To", "送信先"),
    "rate": ("Rate", "速度"),
    # what was slow
    "slow": ("Stragglers and skew", "遅いタスクと偏り"),
    "stragglers": (
        "Stragglers: attempts far above the median of their stage",
        "遅いタスク(ステージの中央値を大きく超えたもの)",
    ),
    "median": ("Median", "中央値"),
    "skew": ("Skew: the longest task of each stage beside the median", "偏り(各ステージの最長と中央値)"),
    "longest": ("Longest", "最長"),
    "ratio": ("Ratio", "比"),
    # the rest
    "quarantine": ("Quarantine", "隔離された行"),
    "quarantine_none": ("No row was set aside.", "隔離された行はありません。"),
    "quarantine_rows": (
        "Rows that are in none of the outputs: {}. The first of them:",
        "出力に含まれていない行: {}。最初の数行:",
    ),
    "logs": ("Logs", "ログ"),
    "logs_about": (
        "What tasks logged and printed. Choose a task here, in the list of attempts, or in the timeline.",
        "タスクが記録・出力した内容です。ここか、試行一覧、タイムラインでタスクを選んでください。",
    ),
    "logs_none": ("No task said anything.", "出力のあったタスクはありません。"),
    "lines": ("Lines", "行数"),
    "last_line": ("Last line", "最後の行"),
    "logs_of": ("Logs of {}", "{} のログ"),
    "said_nothing": ("This task said nothing.", "このタスクの出力はありません。"),
    "shortened": (
        "Shortened: the first lines are left out. All of them: shardwise logs RUN TASK",
        "先頭を省略しています。全文は shardwise logs RUN TASK で表示できます。",
    ),
    "close": ("Close", "閉じる"),
    "advice": ("What to do next", "次に行うこと"),
    "advice_none": (
        "Nothing stands out: no change is predicted to gain much.",
        "特に目立つ点はありません。大きな改善は見込まれません。",
    ),
    "gain": ("predicted gain: {}", "予測される短縮: {}"),
}

COLUMNS = {
    "file": ("File", "ファイル"),
    "batch": ("Batch", "バッチ"),
    "row": ("Row", "行"),
    "scope": ("What", "対象"),
    "kind": ("Kind", "種類"),
    "type": ("Type", "型"),
    "message": ("Message", "メッセージ"),
    "replay": ("See it fail", "再現コマンド"),
}
"""What the columns of a quarantine are called; others keep their names."""


def texts(lang: str) -> Texts:
    """All texts in one language.

    Raises
    ------
    UsageError
        The page does not speak it.

    Examples
    --------
    >>> texts("en")["logs"], texts("ja")["logs"]
    ('Logs', 'ログ')
    """
    if lang not in LANGUAGES:
        raise UsageError(f"the page does not speak {lang!r}", f"choose one of {', '.join(LANGUAGES)}")
    which = LANGUAGES.index(lang)
    columns = {f"column_{name}": both[which] for name, both in COLUMNS.items()}
    return {name: both[which] for name, both in _TEXTS.items()} | columns


def language_of_locale() -> str:
    """The language that the environment asks for, where the page speaks it; English otherwise."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            asked = value.replace("-", "_").partition("_")[0].partition(".")[0].lower()
            return asked if asked in LANGUAGES else "en"
    return "en"
