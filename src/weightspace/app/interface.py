"""`interface`: the page, its parts and what they do, as Gradio's blocks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from weightspace.app.actions import Actions, Asked, Chosen, shown, status
from weightspace.app.examples import EXAMPLES, ZOO, card
from weightspace.app.jobs import EXAMPLE, Failure, Kind, Step
from weightspace.app.limits import MEGABYTE
from weightspace.app.running import CANCELLED
from weightspace.errors import WeightspaceError
from weightspace.report.html.assets import own

if TYPE_CHECKING:
    import gradio as gr

_PACKAGE = "weightspace.app"
_ABOUT = (
    "<h1>weightspace</h1><p>How was this network trained, and is what its card says true? "
    "Nothing in a file is executed. A file is removed as soon as its answer is there.</p>"
)
_ABOUT_ZOOS = (
    "<p>A zoo is the folder of trained nets that <code>weightspace sample</code> makes. Pack it as "
    "one file of at most {most:,} MB, which is also the most that its files may have together. "
    "The page shows a map of its nets and each net in detail, as <code>weightspace explore</code> "
    "does. Of a larger zoo, {nets:,} nets are drawn at random.</p>"
)
_UNQUEUED = {"api_visibility": "private", "show_progress": "hidden"}


def interface(actions: Actions) -> gr.Blocks:
    """Make the page.

    Parameters
    ----------
    actions : Actions
        What its buttons do.

    Returns
    -------
    gradio.Blocks
    """
    import gradio as gr

    with gr.Blocks(title="weightspace", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(_ABOUT, elem_classes="about")
        with gr.Tab("Audit"):
            _audit(gr, actions)
        with gr.Tab("Compare"):
            _compare(gr, actions)
        with gr.Tab("Explore"):
            _explore(gr, actions)

        async def leave(request: Any) -> None:
            actions.leave(request.session_hash)

        page.unload(_with_request(gr, leave))
    # On a Space, Gradio's page would ask other servers for a header and its fonts.
    page.space_id = None
    page.queue(max_size=actions.limits.waiting, api_open=False, default_concurrency_limit=None)
    return page


def _file(gr: Any, actions: Actions, label: str) -> tuple[Any, Any, Any]:
    """A place to drop a file, a field for a name, and one for the state dict in it."""
    most = actions.limits.upload // MEGABYTE
    file = gr.File(label=f"{label} (at most {most:,} MB)", height=160)
    name = gr.Textbox(label="or its name on the Hugging Face hub", placeholder="hf://OWNER/NAME")
    key = gr.Textbox(label="Which state dict, if the file holds several")
    return file, name, key


def _audit(gr: Any, actions: Actions) -> None:
    with gr.Row():
        with gr.Column():
            file, name, key = _file(gr, actions, "Checkpoint")
        with gr.Column():
            text = gr.Textbox(
                label="Card: what is claimed",
                info="A model card, YAML or JSON; hf://OWNER/NAME for a card on the hub.",
                placeholder="optimizer: SGD\nlearning_rate: 0.1",
                lines=7,
                max_lines=14,
            )
            dropped = gr.File(label="or drop the card (README.md, YAML, JSON)", height=160)
    with gr.Accordion("More", open=False), gr.Row():
        data = gr.Dropdown(
            [("not said", ""), *((one, one) for one in actions.data_sets)],
            value="",
            label="The training images, if this server has them",
            info="Some laws compare the weights with them.",
            filterable=False,
        )
        seeds = gr.Number(
            0,
            label="Seeds to try",
            info=f"From 0 up to this number, at most {actions.limits.seeds:,}, to find the "
            "one of the initial weights. Popular ones are always tried.",
            precision=0,
            minimum=0,
            maximum=actions.limits.seeds,
        )
    with gr.Row():
        start = gr.Button("Audit", variant="primary")
        stop = gr.Button("Cancel")
    gr.HTML("<h2>Examples</h2>", elem_classes="about")
    with gr.Row():
        examples = {one: gr.Button(said) for one, said in EXAMPLES.items()}
    line, result = _answers(gr)

    async def audit(
        upload: Any, name: str, key: str, text: str, data: Any, seeds: Any, request: Any
    ) -> AsyncGenerator[Any, None]:
        chosen, visitor = [(upload, name, key)], request.session_hash
        asked = Asked(text, str(data or ""), int(seeds or 0))
        async with aclosing(_told(gr, actions, "audit", chosen, visitor, asked)) as lines:
            async for told in lines:
                yield told

    def card_of(upload: Mapping[str, Any] | None) -> Any:
        if not upload:
            return gr.skip()
        try:
            return actions.card_text(upload), None, ""
        except WeightspaceError as error:
            return gr.skip(), None, status(Failure(str(error)))

    dropped.upload(card_of, dropped, [text, dropped, line], preprocess=False, **_UNQUEUED)
    fields, outputs = [file, name, key, text, data, seeds], [line, result, file]
    running = [_run(gr, actions, start.click, audit, fields, outputs)]
    for one, button in examples.items():
        filled = button.click(_example(one), None, fields, **_UNQUEUED)
        running.append(_run(gr, actions, filled.then, audit, fields, outputs))
    _stop(gr, actions, stop, line, running)


def _compare(gr: Any, actions: Actions) -> None:
    with gr.Row():
        with gr.Column():
            first = _file(gr, actions, "Checkpoint A")
        with gr.Column():
            second = _file(gr, actions, "Checkpoint B")
    with gr.Row():
        start = gr.Button("Compare", variant="primary")
        stop = gr.Button("Cancel")
    line, result = _answers(gr)

    async def compare(
        a: Any, a_name: str, a_key: str, b: Any, b_name: str, b_key: str, request: Any
    ) -> AsyncGenerator[Any, None]:
        chosen, visitor = [(a, a_name, a_key), (b, b_name, b_key)], request.session_hash
        async with aclosing(_told(gr, actions, "compare", chosen, visitor)) as lines:
            async for told in lines:
                yield told

    outputs = [line, result, first[0], second[0]]
    running = [_run(gr, actions, start.click, compare, [*first, *second], outputs)]
    _stop(gr, actions, stop, line, running)


def _explore(gr: Any, actions: Actions) -> None:
    most, nets = actions.limits.upload // MEGABYTE, actions.limits.nets
    with gr.Row():
        with gr.Column():
            file = gr.File(label=f"Zoo as .zip, .tar or .tar.gz (at most {most:,} MB)", height=160)
        with gr.Column():
            gr.HTML(_ABOUT_ZOOS.format(most=most, nets=nets), elem_classes="about")
    with gr.Row():
        start = gr.Button("Explore", variant="primary")
        stop = gr.Button("Cancel")
    gr.HTML("<h2>Example</h2>", elem_classes="about")
    with gr.Row():
        example = gr.Button("A zoo of 48 nets")
    line, result = _answers(gr)

    async def explore(upload: Any, request: Any) -> AsyncGenerator[Any, None]:
        async with aclosing(_zoo(upload, "", request)) as lines:
            async for told in lines:
                yield told

    async def shown_example(request: Any) -> AsyncGenerator[Any, None]:
        async with aclosing(_zoo(None, f"{EXAMPLE}{ZOO}", request)) as lines:
            async for told in lines:
                yield told

    def _zoo(upload: Any, name: str, request: Any) -> AsyncGenerator[Any, None]:
        return _told(gr, actions, "explore", [(upload, name, "")], request.session_hash)

    outputs = [line, result, file]
    running = [
        _run(gr, actions, start.click, explore, [file], outputs),
        _run(gr, actions, example.click, shown_example, [], outputs),
    ]
    _stop(gr, actions, stop, line, running)


def _answers(gr: Any) -> tuple[Any, Any]:
    """A line on how far it is and what was found, which screen readers announce, and the page."""
    announced = "element.setAttribute('role', 'status')"
    line = gr.HTML("", elem_classes="status", js_on_load=announced)
    return line, gr.HTML("", elem_classes="result", js_on_load=own("page.js", _PACKAGE))


def _run(
    gr: Any, actions: Actions, event: Any, work: Any, inputs: Sequence[Any], outputs: Sequence[Any]
) -> Any:
    return event(
        _with_request(gr, work),
        inputs,
        outputs,
        preprocess=False,  # an upload is a place, which `Uploads` checks and reads
        concurrency_limit=actions.limits.at_once,
        concurrency_id="jobs",
        show_progress="minimal",
        show_progress_on=outputs[0],
        api_visibility="private",
    )


def _stop(gr: Any, actions: Actions, button: Any, line: Any, running: list[Any]) -> None:
    """A button that takes a job out of the queue, and ends its process."""

    async def stop(request: Any) -> str:
        actions.leave(request.session_hash)
        return status(Failure(CANCELLED))

    button.click(_with_request(gr, stop), None, line, cancels=running, **_UNQUEUED)


def _with_request(gr: Any, work: Any) -> Any:
    """The function, whose argument `request` Gradio fills, as it does by its type."""
    work.__annotations__["request"] = gr.Request
    return work


async def _told(
    gr: Any,
    actions: Actions,
    kind: Kind,
    chosen: Sequence[Chosen],
    visitor: str,
    asked: Asked | None = None,
) -> AsyncGenerator[tuple[Any, ...], None]:
    """What changes on the page: the line, the result, and the places of files, which are empty."""
    kept = tuple(gr.skip() for _ in chosen)
    gone = tuple(None for _ in chosen)
    async with aclosing(actions.said(kind, tuple(chosen), visitor, asked)) as lines:
        async for said in lines:
            stays = isinstance(said, Step) or (isinstance(said, Failure) and said.kept)
            places = kept if stays else gone
            yield status(said), shown(said, kind), *places


def _example(name: str) -> Any:
    return lambda: (None, f"{EXAMPLE}{name}", "", card(name), "", 0)
