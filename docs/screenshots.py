"""python -m docs.screenshots SITE: images of pages of a gallery that `make site` wrote, taken in headless Chromium."""

import base64
import io
from pathlib import Path

import click
from PIL import Image

from export.protocol import chromium
from tests.export.serving.web.tab import Tab, tab
from zoobase import console as shell
from zoobase.errors import MissingError, ZooError

IMAGES = Path(__file__).parent / "images"
LARGEST = 60_000  # bytes of an image
HEIGHT = {375: 812, 1280: 900}
SCREENS = (  # file, page of the gallery, width, whether dark
    ("web_fashion_mnist.webp", "fashion_mnist/index.html", 1280, False),
    ("web_fashion_mnist_phone.webp", "fashion_mnist/index.html", 375, True),
    ("web_error.webp", "fashion_mnist/index.html#error", 375, False),
    ("web_sentiment.webp", "sentiment/index.html", 1280, True),
    ("web_gallery.webp", "index.html", 1280, False),
)
MISSING = "model.tflite"  # what is not found on a page whose name ends in #error


def open_page(page: Tab, address: str, width: int, dark: bool) -> None:
    """Open a page as a device of that width shows it, and wait for its answer; CheckFailed if there is none in time."""
    size = {"width": width, "height": HEIGHT[width], "deviceScaleFactor": 1, "mobile": width < 500}
    page.send("Emulation.setDeviceMetricsOverride", **size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    page.send("Emulation.setEmulatedMedia", features=[scheme])
    page.send("Network.setBypassServiceWorker", bypass=True)
    page.send("Network.setBlockedURLs", urls=[f"*{MISSING}"] if address.endswith("#error") else [])
    page.send("Page.navigate", url="about:blank")  # a fragment alone loads nothing
    page.send("Page.navigate", url=address)
    page.wait(f"location.href === '{address}'")
    page.wait("!!document.querySelector('.gallery') || document.documentElement.dataset.state")


def screenshot(page: Tab, whole: bool = False) -> Image.Image:
    """Return what a page shows, or all of it, as an image."""
    data = page.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


@click.command("screenshots")
@click.argument("site", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", default=IMAGES, show_default=True, type=click.Path(path_type=Path), help="Folder of the images."
)
def main(site: Path, out: Path) -> None:
    """Take images of pages of the gallery SITE."""
    if not (site / "site.json").is_file():
        raise MissingError(f"{site} is not a gallery: write it by make site")
    out.mkdir(parents=True, exist_ok=True)
    with chromium.serving(site) as url, tab() as page:
        for name, path, width, dark in SCREENS:
            open_page(page, f"{url}/{path}", width, dark)
            for quality in (90, 75, 60, 45):
                screenshot(page).save(out / name, "WEBP", quality=quality)
                if (out / name).stat().st_size <= LARGEST:
                    break
            else:
                raise ZooError(f"{out / name} is larger than {LARGEST} bytes")
    click.echo(f"{out}: {len(SCREENS)} images written. Next: look at them")


if __name__ == "__main__":
    shell.run(main, prog="python -m docs.screenshots")
