"""The declarations of the public headers, in a form in which two of them can be compared."""
import re

# `#define stint_x(a, b) stint_x_at(a, b, STINT_WHERE)`: x is called as x_at without its last
BEHIND_MACRO = re.compile(r"#define (stint_\w+)\([^)]*\)\s*(\w+_at)\(.*STINT_WHERE\)$")
MARKS = re.compile(r"\b(STINT_API|STINT_MUST_CHECK|STINT_BEGIN_DECLS|STINT_END_DECLS|"
                   r"static inline|STINT_PRINTF\(\d+, \d+\))")


def plain(text):
    """One declaration with its blanks normalised."""
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"\s*([(){},;*=])\s*", r"\1", text).replace(",}", "}")


def without_comments(text):
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    return re.sub(r"\\\n", " ", text)


def split(text):
    """Declarations of C, one after the other; a body after a `)` is left out."""
    depth, begin, at = 0, 0, 0
    while at < len(text):
        char = text[at]
        if char == "{" and depth == 0 and text[begin:at].rstrip().endswith(")"):
            yield text[begin:at] + ";"
            begin = at = end_of_body(text, at)
            continue
        depth += {"{": 1, "}": -1}.get(char, 0)
        if char == ";" and depth == 0:
            yield text[begin:at + 1]
            begin = at + 1
        at += 1


def end_of_body(text, at):
    depth = 0
    while True:
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
        if depth == 0:
            return at


def of_text(text):
    """All that a text in C declares: prototypes, types, and macros as `#define NAME VALUE`.

    Macros with arguments are the loops; they are known by their first line.
    """
    text = without_comments(text)
    macros = [re.sub(r"\s+", " ", line) for line in re.findall(r"^#define .*$", text, re.M)]
    places = dict(match.groups() for match in map(BEHIND_MACRO.match, macros) if match)
    found = {macro_name(macro) for macro in macros
             if macro.startswith("#define STINT_") and not macro.endswith("_H")}
    code = MARKS.sub("", re.sub(r"^#.*$", "", text, flags=re.M))
    functions = [plain(one) for one in split(code)]
    for name, behind in places.items():
        [at] = [one for one in functions if re.search(rf"\b{behind}\(", one)]
        functions.remove(at)
        functions.append(at.replace(behind + "(", name + "(")
                         .replace(",const char*where)", ")"))
    found.update(functions)
    return {one for one in found if not re.fullmatch(r"struct \w+;", one)}


def macro_name(macro):
    """A macro with arguments by its head, another one with its value."""
    head = re.match(r"#define \w+\([^)]*\)", macro)
    return plain(head.group() if head else macro)


def functions(declarations):
    """The names of the functions among declarations."""
    heads = (re.match(r"(?!typedef|#)[^({]*?\b(stint_\w+)\(", one) for one in declarations)
    return {head.group(1) for head in heads if head}
