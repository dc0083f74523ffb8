import pytest

from embedlab.figure import new_figure, plain, plot_message


@pytest.mark.parametrize("text", ["costs $5 or $6", "$x", r"$\frac$ and $", r"\$ a $ b", "$$"])
def test_text_of_the_data_is_drawn_as_it_is(text: str) -> None:
    plot_message(text).draw_without_rendering()
    figure, axes = new_figure(2, 2, plain(text))
    figure.draw_without_rendering()
    assert not axes.title._preprocess_math(axes.title.get_text())[1]
