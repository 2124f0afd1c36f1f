package sqldb

import (
	"fmt"
	"strconv"
)

// appendIDs writes numbers as a JSON array.
func appendIDs(b []byte, ids []int64) []byte {
	b = append(b, '[')
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, id, 10)
	}
	return append(b, ']')
}

// parseList reads the numbers of dialect.list: an array of JSON or of PostgreSQL.
func parseList(s string) ([]int64, error) {
	var ids []int64
	n, in := int64(0), false
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			n, in = n*10+int64(c-'0'), true
		case c == ',' || c == ']' || c == '}':
			if in {
				ids = append(ids, n)
			}
			n, in = 0, false
		case c != '[' && c != '{':
			return nil, fmt.Errorf("list of numbers has %q", c)
		}
	}
	return ids, nil
}
