# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
#
# Man pages from the comments of the public headers: one in section 3 for each function, and one in
# section 7 for each header, with its types and macros.
#   awk -f tools/man.awk -v out=DIRECTORY -v version=0.2.0 include/cohort/*.h
# Writes DIRECTORY/man3/NAME.3 and DIRECTORY/man7/cohort_HEADER.h.7; both directories are there
# before. A comment that it cannot read is a failure.
FNR == 1 { end_header(); begin_header(FILENAME) }
/^#ifdef __cplusplus/, /^#endif/ { next }
in_comment { take_comment($0); next }
/^\/\*\*/ { begin_comment($0); next }
in_code { take_code($0); next }
have_comment && !/^ *$/ { begin_code($0); next }
END { end_header(); if (failed) exit 1 }

function begin_header(file) {
    header = file
    sub(/.*\//, "", header)
    sub(/\.in$/, "", header)
    page = "cohort_" header
    if (header == "cohort.h") page = "cohort.h"
    in_comment = in_code = have_comment = 0
    n_functions = 0
    about = types = ""
    open_header = 1
}

function end_header() {
    if (!open_header) return
    if (in_comment || in_code) fail("the file ends in the middle of something")
    write_header_page()
    open_header = 0
}

function fail(what) {
    printf "%s: %s\n", header, what > "/dev/stderr"
    failed = 1
}

# ---- reading --------------------------------------------------------------------------------

function begin_comment(line) {
    n_lines = 0
    have_comment = 0
    sub(/^\/\*\*( |$)/, "", line)
    in_comment = 1
    take_comment(line)
}

function take_comment(line) {
    if (line ~ /\*\/ *$/) {
        sub(/ *\*\/ *$/, "", line)
        in_comment = 0
    }
    sub(/^ \*( |$)/, "", line)
    sub(/ +$/, "", line)
    if (line != "" || n_lines > 0) comment[++n_lines] = line
    if (in_comment) return
    while (n_lines > 0 && comment[n_lines] == "") n_lines--
    if (comment[1] ~ /^@(cond|endcond)/) return
    if (comment[1] ~ /^@file/) {
        sub(/^@file *[a-z.]*$/, "", comment[1])
        about = text_of(comment[1] == "" ? 2 : 1, n_lines)
        return
    }
    have_comment = 1
}

function begin_code(line) {
    have_comment = 0
    in_code = 1
    code = ""
    depth = 0
    is_macro = line ~ /^#define/
    take_code(line)
}

function take_code(line,   text) {
    code = code line "\n"
    text = line
    depth += gsub(/\{/, "{", text) - gsub(/\}/, "}", text)
    if (is_macro ? line !~ /\\$/ : depth == 0 && line ~ /; *(\/\*.*)?$/) {
        in_code = 0
        if (code ~ /COHORT_API/) function_page()
        else types = types ".PP\n.nf\n" verbatim(code) ".fi\n" text_of(1, n_lines)
    } else if (line ~ /^#(if|el|endif)/) {
        in_code = 0 # a macro that is different things to different compilers
    }
}

# ---- formatting -----------------------------------------------------------------------------

function escape(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    return text
}

function plain(text) { # a line of text: `code` bold, a function's name with its section
    text = escape(text)
    while (match(text, /`[^`]*`/))
        text = substr(text, 1, RSTART - 1) "\\fB" substr(text, RSTART + 1, RLENGTH - 2) "\\fP" \
            substr(text, RSTART + RLENGTH)
    if (text ~ /^[.']/) text = "\\&" text
    return text
}

function verbatim(text,   lines, n, i, result) {
    n = split(text, lines, "\n")
    result = ""
    for (i = 1; i <= n; i++) {
        if (i == n && lines[i] == "") break
        lines[i] = escape(lines[i])
        if (lines[i] ~ /^[.']/) lines[i] = "\\&" lines[i]
        result = result lines[i] "\n"
    }
    return result
}

# Lines of the comment as roff: paragraphs, lists of " - item", code that is indented by four or
# stands between @code and @endcode.
function text_of(from, to,   i, line, result, state) {
    result = ""
    state = "new" # or text, item, code, given (@code)
    for (i = from; i <= to; i++) {
        line = comment[i]
        if (line ~ /^@code/) {
            result = result ".PP\n.EX\n"
            state = "given"
        } else if (line ~ /^@endcode/) {
            result = result ".EE\n"
            state = "new"
        } else if (state == "given") {
            result = result verbatim(line "\n")
        } else if (line ~ /^@param /) { # of a type of function
            sub(/^@param +/, "", line)
            match(line, /^[a-z_]+ */)
            result = result ".TP\n\\fI" substr(line, 1, RLENGTH) "\\fP\n"
            result = result plain(substr(line, RLENGTH + 1)) "\n"
            state = "item"
        } else if (line ~ /^@return/) {
            sub(/^@return */, "", line)
            result = result ".PP\nIt returns" (line == "" ? ":" : " " plain(line)) "\n"
            state = "text"
        } else if (line == "") {
            if (state == "code" && comment[i + 1] ~ /^    /) { result = result "\n"; continue }
            if (state == "code") result = result ".EE\n"
            state = state == "item" && comment[i + 1] ~ /^  / ? "item" : "new"
            if (state == "item") result = result ".IP\n"
        } else if (line ~ /^ *- /) {
            sub(/^ *- /, "", line)
            result = result ".IP \\(bu 2\n" plain(line) "\n"
            state = "item"
        } else if (state == "new" && line ~ /^    /) {
            result = result ".PP\n.EX\n" verbatim(line "\n")
            state = "code"
        } else if (state == "code" && line ~ /^ /) {
            result = result verbatim(line "\n")
        } else {
            if (state == "code") { result = result ".EE\n"; state = "new" }
            if (state == "item" && line !~ /^ /) state = "new"
            if (state == "new") { result = result ".PP\n"; state = "text" }
            sub(/^ +/, "", line)
            result = result plain(line) "\n"
        }
    }
    return result (state == "code" ? ".EE\n" : "")
}

# ---- a function -----------------------------------------------------------------------------

function sentence_end(   i) { # the line of the comment on which its first sentence ends
    for (i = 1; i <= n_lines; i++) if (comment[i] ~ /[.:]$/ || comment[i + 1] ~ /^(@|$)/) return i
    return n_lines
}

function brief(   i, end, text, at) {
    text = ""
    end = sentence_end()
    for (i = 1; i <= end; i++) text = text (i > 1 ? " " : "") comment[i]
    at = match(text, /\. [A-Z]/)
    if (at) text = substr(text, 1, at - 1)
    sub(/[.:]$/, "", text)
    if (text !~ /^[A-Z][A-Z]/) text = tolower(substr(text, 1, 1)) substr(text, 2)
    return text
}

function function_page(   name, path, i, from, what, rest, parameters, returns, description, safety,
                          end, prototype) {
    prototype = code
    gsub(/COHORT_NODISCARD |COHORT_API /, "", prototype)
    gsub(/[ \n]+/, " ", prototype)
    sub(/ COHORT_[A-Z]+(\([0-9, ]*\))?; $/, ";", prototype)
    sub(/ $/, "", prototype)
    name = prototype
    sub(/\(.*/, "", name)
    sub(/.*[ *]/, "", name)
    functions[++n_functions] = name
    description = parameters = returns = safety = ""
    for (i = 1; i <= n_lines; i = end + 1) {
        what = comment[i]
        end = i
        if (what ~ /^@(param|return)/) {
            while (end < n_lines && comment[end + 1] !~ /^@/ && comment[end + 1] != "") end++
            rest = what
            if (what ~ /^@param/) {
                sub(/^@param +/, "", rest)
                from = rest
                sub(/ .*/, "", from)
                sub(/^[^ ]+ +/, "", rest)
                parameters = parameters ".TP\n\\fI" from "\\fP\n"
                comment[i] = rest
                parameters = parameters flat(text_of_block(i, end))
            } else {
                sub(/^@return */, "", rest)
                comment[i] = rest
                returns = returns text_of_block(rest == "" ? i + 1 : i, end)
            }
        } else if (what ~ /^Thread safety:/) {
            while (end < n_lines && comment[end + 1] !~ /^@/) end++
            sub(/^Thread safety: */, "", comment[i])
            safety = text_of(i, end)
        } else {
            while (end < n_lines && comment[end + 1] !~ /^(@param|@return|Thread safety:)/) end++
            description = description text_of(i, end)
        }
    }
    if (name !~ /^cohort_[a-z_0-9]+$/) fail("no name found in: " prototype)
    if (prototype !~ /^[^(]*void [^(]*\(/ && returns == "") fail(name ": no @return")
    path = out "/man3/" name ".3"
    printf "%s", title(name, 3) > path
    printf ".SH NAME\n%s \\- %s\n", name, plain(brief()) > path
    printf ".SH SYNOPSIS\n.nf\n#include <cohort/%s>\n.PP\n%s.fi\n", header,
        verbatim(wrapped(prototype)) > path
    printf ".SH DESCRIPTION\n%s", description > path
    if (parameters != "") printf ".SH PARAMETERS\n%s", parameters > path
    if (returns != "") printf ".SH RETURN VALUE\n%s", returns > path
    printf ".SH THREAD SAFETY\n%s", safety != "" ? safety : \
        ".PP\nAs \\fB" page "\\fP(7) says for all functions of the header.\n" > path
    printf ".SH SEE ALSO\n%s\\fB%s\\fP(7)\n", related(name), page > path
    close(path)
}

# Lists in a block are indented as the block is: only the "- " counts, the rest follows on.
function text_of_block(from, to,   i) {
    for (i = from; i <= to; i++) if (comment[i] !~ /^ *- /) sub(/^ +/, i == from ? "" : "  ",
        comment[i])
    return text_of(from, to)
}

function flat(text) { # no paragraph of its own below a tag
    sub(/^\.PP\n/, "", text)
    return text
}

function wrapped(text,   at, head, rest, result) { # a parameter on each line when it is long
    if (length(text) <= 76) return text "\n"
    at = index(text, "(")
    head = substr(text, 1, at)
    rest = substr(text, at + 1)
    gsub(/, /, ",\n    ", rest)
    return head "\n    " rest "\n"
}

function related(name,   i, text, found, list, other) {
    list = ""
    for (i = 1; i <= n_lines; i++) {
        text = comment[i]
        while (match(text, /cohort_[a-z_0-9]+\(\)/)) {
            other = substr(text, RSTART, RLENGTH - 2)
            text = substr(text, RSTART + RLENGTH)
            if (other == name || index(found, " " other " ")) continue
            found = found " " other " "
            list = list "\\fB" other "\\fP(3),\n"
        }
    }
    return list
}

# ---- a header -------------------------------------------------------------------------------

function title(name, section) {
    return ".\\\" made from include/cohort/" header " by tools/man.awk\n.TH " name " " section \
        " \"\" \"Cohort " version "\" \"Multiprocessing for C\"\n"
}

function write_header_page(   path, i) {
    if (about == "") { fail("no @file comment"); return }
    path = out "/man7/" page ".7"
    printf "%s", title(page, 7) > path
    printf ".SH NAME\n%s \\- <cohort/%s> of Cohort, multiprocessing for C\n", page, header > path
    printf ".SH SYNOPSIS\n.nf\n#include <cohort/%s>\n.fi\n", header > path
    printf ".SH DESCRIPTION\n%s", about > path
    if (types != "") printf ".SH TYPES AND MACROS\n%s", types > path
    if (n_functions > 0) printf ".SH SEE ALSO\n" > path
    for (i = 1; i <= n_functions; i++)
        printf "\\fB%s\\fP(3)%s\n", functions[i], i < n_functions ? "," : "" > path
    close(path)
}
