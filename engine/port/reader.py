# Reads Python source for `orrery port` and prints tree, comments and text tokens as JSON.
# It parses only: nothing of the given text is imported, compiled to code or run.
import ast
import io
import json
import sys
import tokenize

LEFT_OUT = {"type_comment", "kind", "type_ignores", "type_params", "simple"}


class Reader:
    """Makes nodes of one text; positions become byte offsets."""

    def __init__(self, text):
        self.text = text
        self.lines = [0]
        for line in text.encode("utf-8").split(b"\n"):
            self.lines.append(self.lines[-1] + len(line) + 1)

    def offset(self, line, col):
        return self.lines[line - 1] + col

    def node(self, n):
        if not isinstance(n, ast.AST):
            return {"k": "Word", "v": str(n)}
        out = {"k": type(n).__name__}
        if hasattr(n, "lineno"):
            out["s"] = self.offset(n.lineno, n.col_offset)
            out["e"] = self.offset(n.end_lineno, n.end_col_offset)
            out["l"] = n.lineno
        if isinstance(n, ast.Constant):
            out["t"] = type(n.value).__name__
            out["v"] = n.value if isinstance(n.value, str) else repr(n.value)
            return out
        if isinstance(n, ast.FormattedValue):
            # Before 3.12 positions inside f-strings are not reliable, so the expression is
            # written out and read again as a text of its own.
            source = ast.unparse(n.value)
            inner = Reader(source)
            out["text"] = source
            out["own"] = inner.node(ast.parse(source, mode="eval").body)
            out["conversion"] = str(n.conversion)
            if n.format_spec is not None:
                out["format_spec"] = self.node(n.format_spec)
            return out
        for field in n._fields:
            value = getattr(n, field, None)
            if field in LEFT_OUT or value is None or isinstance(value, ast.Load):
                continue
            if isinstance(value, list):
                out[field] = [None if v is None else self.node(v) for v in value]
            elif isinstance(value, ast.AST):
                plain = not value._fields and not hasattr(value, "lineno")  # an operator
                out[field] = type(value).__name__ if plain else self.node(value)
            else:
                out[field] = str(value)
        return out

    def tokens(self):
        """Gives comments and text literals: start, end, line, and whether alone on its line."""
        comments, texts = [], []
        lines = self.text.split("\n")
        for t in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if t.type not in (tokenize.COMMENT, tokenize.STRING):
                continue
            (line, col), (end, stop) = t.start, t.end
            start = self.offset(line, len(lines[line - 1][:col].encode("utf-8")))
            after = self.offset(end, len(lines[end - 1][:stop].encode("utf-8")))
            alone = not lines[line - 1][:col].strip()
            (comments if t.type == tokenize.COMMENT else texts).append([start, after, line, int(alone)])
        return comments, texts


def read(text):
    try:
        r = Reader(text)
        tree = r.node(ast.parse(text))
        comments, texts = r.tokens()
        return {"tree": tree, "comments": comments, "texts": texts}
    except SyntaxError as e:
        return {"line": e.lineno or 1, "col": e.offset or 1, "error": e.msg or "not Python"}
    except (ValueError, RecursionError, MemoryError, tokenize.TokenError) as e:
        return {"line": 1, "col": 1, "error": str(e) or type(e).__name__}


def main():
    if sys.version_info < (3, 9):
        json.dump({"version": "%d.%d" % sys.version_info[:2]}, sys.stdout)
        return
    texts = json.loads(sys.stdin.buffer.read().decode("utf-8"))
    sys.stdout.write(json.dumps({"files": [read(t) for t in texts]}))


main()
