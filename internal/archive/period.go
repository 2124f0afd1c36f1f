package archive

import (
	"strconv"
	"strings"
	"time"
)

// Period is the time that a date, a time or both stand for: a value of lesser
// precision covers all that begins with it. Both ends belong to it. Its unit is that
// of the function that returned it.
type Period struct {
	First, Last int64
}

// Contains reports whether a moment lies in the period.
func (p Period) Contains(moment int64) bool { return p.First <= moment && moment <= p.Last }

// ParseDate reads a DA of the forms YYYYMMDD, YYYYMM, YYYY and, of ACR-NEMA,
// YYYY.MM.DD. The unit is YYYYMMDD as a number, which sorts as dates do; it isn't
// checked how many days the month has.
func ParseDate(s string) (Period, bool) {
	if len(s) == 10 && s[4] == '.' && s[7] == '.' {
		s = s[:4] + s[5:7] + s[8:]
	}
	n, ok := digits(s)
	if !ok {
		return Period{}, false
	}
	p := Period{n, n}
	switch len(s) {
	case 4:
		p = Period{n*10000 + 101, n*10000 + 1231}
	case 6:
		p = Period{n*100 + 1, n*100 + 31}
	case 8:
	default:
		return Period{}, false
	}
	return p, dateExists(p.First) && dateExists(p.Last)
}

func dateExists(n int64) bool {
	month, day := n/100%100, n%100
	return month >= 1 && month <= 12 && day >= 1 && day <= 31
}

// ParseTime reads a TM of the forms HH, HHMM, HHMMSS, HHMMSS.F to HHMMSS.FFFFFF, and
// of ACR-NEMA with colons. The unit is the microsecond since midnight.
func ParseTime(s string) (Period, bool) {
	if len(s) >= 5 && s[2] == ':' {
		s = strings.ReplaceAll(s, ":", "")
	}
	whole, fraction, hasFraction := strings.Cut(s, ".")
	n, ok := digits(whole)
	if !ok || hasFraction && len(whole) != 6 {
		return Period{}, false
	}
	var h, m, sec, unit int64
	switch len(whole) {
	case 2:
		h, unit = n, 3600e6
	case 4:
		h, m, unit = n/100, n%100, 60e6
	case 6:
		h, m, sec, unit = n/10000, n/100%100, n%100, 1e6
	default:
		return Period{}, false
	}
	if h > 23 || m > 59 || sec > 60 {
		return Period{}, false
	}
	first := (h*3600 + m*60 + sec) * 1e6
	if hasFraction {
		f, ok := digits(fraction)
		if !ok || len(fraction) > 6 {
			return Period{}, false
		}
		for range 6 - len(fraction) {
			f *= 10
		}
		for range len(fraction) {
			unit /= 10
		}
		first += f
	}
	return Period{first, first + unit - 1}, true
}

// Moment is the period of a DT. If it is Zoned, the period has been brought to UTC;
// else it is local to wherever the value comes from.
type Moment struct {
	Period
	Zoned bool
}

// ParseDateTime reads a DT: YYYYMMDDHHMMSS.FFFFFF&ZZXX, where anything may be missing
// from the right of the date and time (PS3.5 §6.2). The unit is the microsecond since
// 1970.
func ParseDateTime(s string) (Moment, bool) {
	value, zone := s, ""
	if i := len(s) - 5; i >= 4 && (s[i] == '+' || s[i] == '-') {
		value, zone = s[:i], s[i:]
	}
	p, ok := localDateTime(value)
	if !ok || zone == "" {
		return Moment{Period: p}, ok
	}
	offset, ok := ParseOffset(zone)
	return Moment{Period{p.First - offset, p.Last - offset}, true}, ok
}

func localDateTime(s string) (Period, bool) {
	if len(s) <= 8 {
		d, ok := ParseDate(s)
		if !ok || strings.Contains(s, ".") {
			return Period{}, false
		}
		return Period{midnight(d.First), endOfPeriod(s)}, true
	}
	d, ok := ParseDate(s[:8])
	if !ok || strings.ContainsAny(s, ":") {
		return Period{}, false
	}
	t, ok := ParseTime(s[8:])
	day := midnight(d.First)
	return Period{day + t.First, day + t.Last}, ok
}

// midnight returns the microsecond in which a day begins.
func midnight(yyyymmdd int64) int64 {
	return time.Date(int(yyyymmdd/10000), time.Month(yyyymmdd/100%100), int(yyyymmdd%100), 0, 0, 0, 0, time.UTC).UnixMicro()
}

// endOfPeriod returns the last microsecond of a valid year, month or day.
func endOfPeriod(s string) int64 {
	layout := "20060102"[:len(s)]
	t, err := time.Parse(layout, s)
	if err != nil { // the 31st of a short month: its period is the day it overflows to
		n, _ := digits(s)
		return midnight(n) + 24*3600e6 - 1
	}
	switch len(s) {
	case 4:
		t = t.AddDate(1, 0, 0)
	case 6:
		t = t.AddDate(0, 1, 0)
	default:
		t = t.AddDate(0, 0, 1)
	}
	return t.UnixMicro() - 1
}

// ParseOffset reads an offset from UTC, +HHMM or -HHMM, as of Timezone Offset From UTC
// (0008,0201). The unit is the microsecond.
func ParseOffset(s string) (int64, bool) {
	if len(s) != 5 || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	n, ok := digits(s[1:])
	if !ok || n%100 > 59 || n > 1400 {
		return 0, false
	}
	offset := (n/100*60 + n%100) * 60e6
	if s[0] == '-' {
		offset = -offset
	}
	return offset, true
}

func digits(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
