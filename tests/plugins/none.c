/* none.c - a shared object that is no plugin */
int stint_something(void);

int
stint_something(void)
{
	return 0;
}
