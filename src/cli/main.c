/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - the program cptool */
#include "cptool.h"

int main(void)
{
	return 2;
}
