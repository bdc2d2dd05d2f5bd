import { useMutation } from '@tanstack/react-query'
import { client, tokens } from './crewline'

export function SignIn({ done }: { done: () => void }) {
  const enter = useMutation({
    mutationFn: async (form: FormData) => {
      const { email = '', password = '', name = '', how } = Object.fromEntries(form) as Record<string, string>
      if (how === 'register') tokens.keep(await client.call('auth.register', { email, password, name }))
      else await tokens.signIn(email, password)
    },
    onSuccess: done,
  })
  return (
    <form
      className="card sign-in"
      onSubmit={(event) => {
        event.preventDefault()
        enter.mutate(new FormData(event.currentTarget, (event.nativeEvent as SubmitEvent).submitter))
      }}
    >
      <h1>Campaigns</h1>
      <label>E-mail <input name="email" type="email" required autoComplete="email" /></label>
      <label>Password <input name="password" type="password" required minLength={10} autoComplete="current-password" /></label>
      <label>Name <input name="name" placeholder="Only to register" autoComplete="name" /></label>
      {enter.error && <p role="alert">{enter.error.message}</p>}
      <footer>
        <button name="how" value="sign-in" disabled={enter.isPending}>Sign in</button>
        <button name="how" value="register" disabled={enter.isPending} className="quiet">Register</button>
      </footer>
    </form>
  )
}
