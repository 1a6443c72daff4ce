"""Make the tables of docs/ from bench/results again: `make docs`."""

from bench.pages.page import ROOT, made_again, pages


def main() -> None:
    """Write each page whose tables are not what the figures give, and say which."""
    for page in pages():
        text = page.read_text()
        if (again := made_again(text)) != text:
            page.write_text(again)
            print(f"{page.relative_to(ROOT)}: made anew")


if __name__ == "__main__":
    main()
