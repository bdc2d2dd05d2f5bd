import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [react()],
  // The server lets in pages of the origins that it was told: another port would be another origin.
  server: { port: 5173, strictPort: true },
})
