"""`theme`: Gradio's default look with fonts of the system, and colours that can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gradio as gr

_FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
_MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")
_COLOURS = {
    # Gradio's own have less contrast than WCAG 2 asks for (4.5 to 1).
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_300",
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_300",
    "block_label_text_color": "*neutral_700",
    "block_label_text_color_dark": "*neutral_200",
    "input_placeholder_color": "*neutral_500",
    "input_placeholder_color_dark": "*neutral_300",
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_dark": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_hover_dark": "*primary_600",
    "button_primary_text_color": "white",
}


def theme() -> gr.themes.Base:
    """The theme of the page.

    Returns
    -------
    gradio.themes.Base
    """
    import gradio as gr

    look = gr.themes.Default(primary_hue="blue", font=_FONT, font_mono=_MONO)
    return look.set(**_COLOURS)
