package main

import "strings"

// markdown is the table for people: docs/mutations.md.
func markdown(table []Control) string {
	var b strings.Builder
	b.WriteString(`# Removed controls
Each row takes one control away and names the tests that fail without it. The second lock is what still holds the same wall, with the tests that
pass while the control is away. ` + "`make mutation`" + ` runs all of it; this page is made by ` + "`go run ./test/mutation -markdown`" + ` from
` + "`test/mutation/controls/`" + `, and a test fails when it is out of date. S and T are rows of the requirements and of the abuse cases.

| id | what is removed | rows | caught by | second lock | seen to hold by |
| --- | --- | --- | --- | --- | --- |
`)
	for i := range table {
		c := &table[i]
		b.WriteString("| " + c.ID + " | " + cell(c.Removes) + " | " + c.Rows + " | " + names(c.Red) + " | " + cell(c.Lock) + " | " + names(c.Green) + " |\n")
	}
	b.WriteString("\nWhere a second lock needs more taken away before it can be seen alone (the probe that refuses a broken wall, say), the table does that for the\nlock's tests only (`with:`).\n")
	return b.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// names are tests as a reader looks for them.
func names(all []Tests) string {
	var out []string
	for _, t := range all {
		for _, n := range t.Names {
			pkg := strings.TrimPrefix(t.Package, "./")
			if pkg = strings.TrimPrefix(pkg, "internal/"); pkg == "test" || pkg == "." {
				out = append(out, n)
			} else {
				out = append(out, pkg+"."+n)
			}
		}
	}
	return strings.Join(out, ", ")
}
