"""The manual pages: well formed, complete, true to the headers, linked to each other."""
import re
import subprocess

import declarations
import page
import pytest

# What mandoc says of each page that scdoc makes, and why that is no fault of the page.
OF_SCDOC = {
    r"skipping paragraph macro: PP (empty|after SH|after SS)":
        "scdoc begins each section and each block with a paragraph; it shows nowhere",
}
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "RETURN VALUE", "THREADS", "NOTES", "EXAMPLE",
            "SEE ALSO"]
WIDTH = 80
# Declares nothing for users, but marks what the other headers declare.
INTERNAL_HEADERS = {"api.h"}


def of_headers(installed):
    found = set()
    for header in (installed.root / "include/stint").glob("*.h"):
        if header.name not in INTERNAL_HEADERS:
            found |= declarations.of_text(header.read_text())
    return found


def of_page(installed, name):
    synopsis = page.sections(page.rendered(installed.pages / name))["SYNOPSIS"]
    return declarations.of_text("\n".join(page.blocks(synopsis)))


@pytest.mark.parametrize("name", page.NAMES)
def test_mandoc_finds_no_fault(installed, name):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", installed.pages / name],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    faults = [line for line in done.stdout.splitlines()
              if not any(re.search(known, line) for known in OF_SCDOC)]
    assert not faults


@pytest.mark.parametrize("name", page.NAMES)
def test_page_has_all_sections_in_their_order(installed, name):
    assert list(page.sections(page.rendered(installed.pages / name))) == SECTIONS


@pytest.mark.parametrize("name", page.NAMES)
def test_page_fits_a_terminal(installed, name):
    text = page.rendered(installed.pages / name, WIDTH)
    # what a program prints is as long as it is
    *_, console = page.blocks(page.sections(text)["EXAMPLE"])
    printed = [line for line in console.split("\n") if not line.startswith("$ ")]
    assert [line for line in text.split("\n")
            if len(line) > WIDTH and line.strip() not in printed] == []


@pytest.mark.parametrize("name", page.NAMES)
def test_name_lists_what_the_synopsis_declares(installed, name):
    lines = page.sections(page.rendered(installed.pages / name))["NAME"]
    names, what = page.described(lines)
    assert names[0] == name.removesuffix(".3")
    assert what
    assert set(names[1:]) == declarations.functions(of_page(installed, name)) - {names[0]}


@pytest.mark.parametrize("name", page.NAMES)
def test_synopsis_is_what_the_headers_say(installed, name):
    assert of_page(installed, name) - of_headers(installed) == set()


def test_each_declaration_is_on_one_page(installed):
    pages = [declaration for name in page.NAMES for declaration in of_page(installed, name)]
    assert of_headers(installed) - set(pages) == set()
    assert sorted(pages) == sorted(set(pages))


@pytest.mark.parametrize("name", page.NAMES)
def test_headers_of_the_synopsis_are_there(installed, name):
    synopsis = page.sections(page.rendered(installed.pages / name))["SYNOPSIS"]
    headers = re.findall(r"#include <(.*)>", "\n".join(synopsis))
    assert headers
    for header in headers:
        assert (installed.root / "include" / header).exists()


def test_each_function_opens_its_page(installed):
    names = declarations.functions(of_headers(installed))
    assert len(names) > 50
    for name in names:
        # links are relative to the folder of the manual
        text = page.rendered(f"man3/{name}.3", folder=installed.man)
        assert name in page.described(page.sections(text)["NAME"])[0]


def test_function_behind_a_macro_opens_its_page(installed):
    assert (installed.pages / "stint_chan_new_at.3").read_text() == ".so man3/stint_chan.3\n"


def test_man_finds_a_function(installed):
    done = subprocess.run(["man", "-M", installed.man, "3", "stint_chan_send"], check=True,
                          stdout=subprocess.PIPE, text=True,
                          env={"PATH": "/usr/bin:/bin", "MANPAGER": "cat", "LC_ALL": "C"})
    assert done.stdout.startswith("stint_chan(3)")


@pytest.mark.parametrize("name", page.NAMES)
def test_pages_that_a_page_names_are_there(installed, name):
    text = page.rendered(installed.pages / name)
    links = set(re.findall(r"\b(stint\w*)\(3\)", text))
    assert len(links) > 1
    for link in links:
        assert (installed.pages / f"{link}.3").exists(), link
    see = " ".join(page.sections(text)["SEE ALSO"])
    assert f"{name.removesuffix('.3')}(3)" not in see.split()


def test_overview_names_each_page(installed):
    text = page.rendered(installed.pages / "stint.3")
    for name in page.NAMES:
        assert name.replace(".3", "(3)") in text


def test_uninstall_leaves_only_the_configuration(empty):
    empty.make("install")
    assert (empty.pages / "stint_chan_send.3").exists()
    empty.make("uninstall")
    left = {path.relative_to(empty.dest) for path in empty.dest.rglob("*") if path.is_file()}
    assert {str(path) for path in left} == {"etc/stint/stint.yaml"}


def test_install_without_scdoc_says_that_it_leaves_the_pages_out(empty):
    said = empty.make("install", "SCDOC=no-such-program")
    assert said == "no-such-program is not here: the manual pages are left out\n"
    assert (empty.root / "lib/libstint.a").exists()
    assert not empty.man.exists()
