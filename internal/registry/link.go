package registry

import (
	"net/http"
	"strings"
)

// nextLink returns the target of the Link header (RFC 8288) that leads to the
// next page; "" when none does. A single link without a rel counts: some
// registries leave it out.
func nextLink(h http.Header) (string, error) {
	plain, links := "", 0
	for _, value := range h.Values("Link") {
		for rest := strings.TrimLeft(value, " \t,"); rest != ""; rest = strings.TrimLeft(rest, " \t,") {
			target, params, after, ok := cutLink(rest)
			if !ok {
				return "", bad("its link to the next page of tags cannot be read")
			}
			rest = after
			links++
			rel, has := relOf(params)
			if has && isNext(rel) {
				return target, nil
			}
			if !has {
				plain = target
			}
		}
	}
	if links == 1 {
		return plain, nil
	}
	return "", nil
}

// cutLink takes `<target>; a=b; c="d, e"` off the front of s.
func cutLink(s string) (target string, params []string, after string, ok bool) {
	if !strings.HasPrefix(s, "<") {
		return "", nil, "", false
	}
	target, s, ok = strings.Cut(s[1:], ">")
	if !ok || target == "" {
		return "", nil, "", false
	}
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ';':
			params = append(params, s[start:i])
			start = i + 1
		case c == ',':
			return target, append(params, s[start:i]), s[i+1:], true
		}
	}
	return target, append(params, s[start:]), "", !quoted
}

// relOf returns the value of the first rel, which is the one that counts.
func relOf(params []string) (string, bool) {
	for _, p := range params {
		key, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(key), "rel") {
			return strings.Trim(strings.TrimSpace(value), `"`), true
		}
	}
	return "", false
}

func isNext(rel string) bool {
	for r := range strings.FieldsSeq(rel) {
		if strings.EqualFold(r, "next") {
			return true
		}
	}
	return false
}
