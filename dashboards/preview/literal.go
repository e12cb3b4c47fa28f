package preview

import "strings"

// literal is the value as it stands between the quotes of a ClickHouse string. The boards' own options
// and links are escaped already and stay as they are; anything that could end the string, start a
// comment or a macro is escaped as a whole.
func literal(value string) string {
	if closed(value) {
		return value
	}
	return strings.NewReplacer(`\`, `\\`, `'`, `\'`, `$`, `\x24`, `--`, `\x2d\x2d`, `/*`, `\x2f*`).
		Replace(value)
}

// closed reports whether a text between quotes stays between them: every quote has its backslash,
// every backslash has something to escape, and nothing begins a macro or a comment.
func closed(text string) bool {
	if strings.Contains(text, "$") || strings.Contains(text, "--") || strings.Contains(text, "/*") {
		return false
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\'':
			return false
		case '\\':
			if i++; i == len(text) {
				return false
			}
		}
	}
	return true
}

// inString reports whether the end of sql lies inside a string literal.
func inString(sql string) bool {
	inside := false
	for i := 0; i < len(sql); i++ {
		switch {
		case inside && sql[i] == '\\':
			i++
		case sql[i] == '\'':
			inside = !inside
		}
	}
	return inside
}
