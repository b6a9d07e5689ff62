"""Intake: a file in (CSV, JSON Lines, XLSX; UTF-8 or GB18030), the same canonical rows or coded rejections out."""
