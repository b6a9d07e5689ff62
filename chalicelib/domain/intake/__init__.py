"""Intake: any portfolio file in (CSV, JSON Lines, XLSX; UTF-8 or GB18030), the same canonical rows out, or coded rejections."""
